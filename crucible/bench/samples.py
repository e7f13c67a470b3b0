"""What goes into a test, checked once: numbers, their NaN policy, levels and alternatives.

A call that makes no sense raises ``StatisticsError``, which lists every problem. Data that no test can be made of
(empty, constant, infinite) are no error: the test answers with a degenerate result.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

from crucible.bench.result import ALTERNATIVES, Alternative
from crucible.errors import Problem, StatisticsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real: TypeAlias = NDArray[np.float64]

NanPolicy = Literal["propagate", "omit", "raise"]
NAN_POLICIES: Final[tuple[NanPolicy, ...]] = get_args(NanPolicy)
Values = Iterable[float]
"""What a caller may give as a sample: a sequence, an array, a pandas Series, Arrow or DuckDB column of numbers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Samples:
    """Samples as float64 arrays, NaN left out where the policy says so."""

    values: tuple[Real, ...]
    n_dropped: tuple[int, ...]
    """Values left out of each; of paired samples, the pairs left out."""
    reason: str | None
    """Why no test can be made of them (``nan_input``, ``infinite_input``); None: they are finite."""

    @property
    def n(self) -> tuple[int, ...]:
        """Size of each sample."""
        return tuple(len(each) for each in self.values)


class Checks:
    """Gathers what is wrong with a call, and raises all of it at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.n_refused = 0
        """How many of the problems are NaN that the policy refuses."""

    def add(self, path: str, message: str, value: object = None, expected: str | None = None) -> None:
        """Note a problem."""
        self.problems.append(Problem(path, message, None if value is None else _shown(value), expected))

    def array(self, name: str, values: Values) -> Real:
        """The values as a one-dimensional float64 array; an empty one where they are none."""
        import numpy as np

        try:
            given: Any = values if isinstance(values, np.ndarray) else np.asarray(_listed(values))
            if given.size and given.dtype.kind not in "fiub":
                raise TypeError  # noqa: TRY301  strings, dates and complex numbers are refused in one place
            array = given.astype(np.float64, copy=False)
            if isinstance(array, np.ma.MaskedArray):
                array = array.filled(np.nan)
        except (TypeError, ValueError, OverflowError):
            self.add(name, "these are no numbers", values, "a sequence of real numbers; None and NaN mean missing")
            return np.empty(0)
        if array.ndim != 1:
            self.add(name, f"it has {array.ndim} dimensions", expected="one dimension")
            return np.empty(0)
        return cast("Real", array)

    def choice(self, name: str, value: object, among: Sequence[str]) -> None:
        """``value`` is one of ``among``."""
        if not isinstance(value, str) or value not in among:
            self.add(name, "unknown", value, f"one of {', '.join(among)}")

    def open_unit(self, name: str, value: object) -> None:
        """``value`` lies strictly between 0 and 1: a level, alpha, or power."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1.0:
            self.add(name, "out of range", value, "a number strictly between 0 and 1")

    def alternative(self, value: Alternative) -> None:
        """``value`` is an alternative."""
        self.choice("alternative", value, ALTERNATIVES)

    def number(
        self, name: str, value: object, *, low: float | None = None, high: float | None = None, is_whole: bool = False
    ) -> None:
        """``value`` is a finite number from ``low`` to ``high``."""
        is_number = _is_finite(value)
        wanted = "a whole number" if is_whole else "a finite number"
        wanted += "" if low is None else f" of at least {low:g}"
        wanted += "" if high is None else f" {'of' if low is None else 'and'} at most {high:g}"
        if not is_number or (is_whole and value != int(cast("float", value))):
            self.add(name, "wrong kind of value", value, wanted)
        elif low is not None and cast("float", value) < low:
            self.add(name, "too small", value, wanted)
        elif high is not None and cast("float", value) > high:
            self.add(name, "too large", value, wanted)

    def labels(self, name: str, labels: object, count: int) -> list[str]:
        """A distinct text for each of ``count`` things."""
        given = [] if isinstance(labels, str | bytes) or not isinstance(labels, Iterable) else list(labels)
        found = [str(each) for each in given]
        if len(found) != count or len(set(found)) != count:
            self.add(name, "they do not name the groups", labels, f"{count} texts, a label of its own for each group")
        return found

    def done(self) -> None:
        """Raise what was gathered."""
        if self.problems:
            only_nan = len(self.problems) == self.n_refused
            raise StatisticsError(self.problems, code="nan_input" if only_nan else "bad_input")


def _is_finite(value: object) -> bool:
    """Whether it is a number, and one that a double holds."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _shown(value: object) -> str:
    try:
        return repr(value)[:80]
    except ValueError:  # a whole number of more digits than Python writes
        return f"a value of the type {type(value).__name__}"


def independent(checks: Checks, nan_policy: NanPolicy, **samples: Values) -> Samples:
    """Independent samples, by name. Raises what ``checks`` gathered, and for NaN where the policy is ``raise``."""
    import numpy as np

    arrays = {name: checks.array(name, values) for name, values in samples.items()}
    checks.choice("nan_policy", nan_policy, NAN_POLICIES)
    if all(np.isfinite(array).all() for array in arrays.values()):
        checks.done()
        return Samples(tuple(arrays.values()), (0,) * len(arrays), None)
    missing = {name: np.isnan(array) for name, array in arrays.items()}
    _refuse_nan(checks, nan_policy, missing)
    checks.done()
    if nan_policy == "omit":
        arrays = {name: array[~missing[name]] if missing[name].any() else array for name, array in arrays.items()}
    dropped = tuple(int(missing[name].sum()) if nan_policy == "omit" else 0 for name in arrays)
    return Samples(tuple(arrays.values()), dropped, _reason(tuple(arrays.values())))


def grouped(checks: Checks, nan_policy: NanPolicy, groups: Iterable[Values]) -> Samples:
    """Independent samples of any number, named ``groups[0]`` and so on."""
    given: Any = groups
    listed = [] if isinstance(given, str | bytes) or not isinstance(given, Iterable) else list(given)
    if len(listed) < 2:  # noqa: PLR2004
        checks.add("groups", f"{len(listed)} of them", expected="at least two groups")
    return independent(checks, nan_policy, **{f"groups[{place}]": values for place, values in enumerate(listed)})


def paired(checks: Checks, nan_policy: NanPolicy, **samples: Values) -> Samples:
    """Samples whose values belong together place by place; a pair with a NaN is left out whole.

    Raises ``StatisticsError`` (code ``length_mismatch``) for different lengths.
    """
    import numpy as np

    arrays = {name: checks.array(name, values) for name, values in samples.items()}
    checks.choice("nan_policy", nan_policy, NAN_POLICIES)
    lengths = {name: len(array) for name, array in arrays.items()}
    if not checks.problems and len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise StatisticsError([Problem(" and ".join(arrays), f"{said}: these are no pairs")], code="length_mismatch")
    if all(np.isfinite(array).all() for array in arrays.values()):
        checks.done()
        return Samples(tuple(arrays.values()), (0,), None)
    missing = {name: np.isnan(array) for name, array in arrays.items()}
    _refuse_nan(checks, nan_policy, missing)
    checks.done()
    either = np.logical_or.reduce(list(missing.values()))
    dropped = int(either.sum()) if nan_policy == "omit" else 0
    if dropped:
        arrays = {name: array[~either] for name, array in arrays.items()}
    return Samples(tuple(arrays.values()), (dropped,), _reason(tuple(arrays.values())))


def _listed(values: Any) -> Any:
    """A list in which None is NaN."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError
    listed = list(values)
    return [float("nan") if value is None else value for value in listed] if None in listed else listed


def _refuse_nan(checks: Checks, nan_policy: NanPolicy, missing: dict[str, NDArray[np.bool_]]) -> None:
    if nan_policy != "raise":
        return
    for name, where in missing.items():
        if where.any():
            checks.add(name, f"{int(where.sum())} values are NaN and the policy is to raise")
            checks.n_refused += 1


def _reason(arrays: tuple[Real, ...]) -> str | None:
    import numpy as np

    if any(np.isnan(array).any() for array in arrays):
        return "nan_input"
    if any(np.isinf(array).any() for array in arrays):
        return "infinite_input"
    return None
