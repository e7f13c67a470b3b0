"""Corrections of p values for the number of tests in a family, on p and on its logarithm.

A correction of an underflowed p value keeps its size: wherever the logarithm is known, the corrected one is as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from crucible.bench.samples import Checks, Values
from crucible.bench.scalars import plain_scalars
from crucible.errors import Problem, StatisticsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

Correction = Literal["holm", "bonferroni", "hochberg", "hommel", "sidak", "holm_sidak", "bh", "by", "none"]
CORRECTIONS: Final = get_args(Correction)
SMALL: Final = 1e-290
"""Corrected p values below this are taken from their logarithm: a factor below one would lose digits of theirs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """The p values of a family after their correction, in the order given; None stands for a test without one."""

    method: Correction
    p_values: tuple[float | None, ...]
    ln_p: tuple[float | None, ...]
    """Natural logarithms of them; minus infinity for a p value of zero that came without its logarithm."""
    is_rejected: tuple[bool, ...]
    """Whether the corrected p value is at most ``alpha``; a test without a p value rejects nothing."""
    alpha: float
    n_tests: int
    """Tests that count in the family: those with a p value."""

    @property
    def reason(self) -> str | None:
        """``nan_excluded_from_family`` if a test is without a p value."""
        return None if self.n_tests == len(self.p_values) else "nan_excluded_from_family"


@plain_scalars
def adjust(
    p_values: Sequence[float | None],
    method: Correction = "holm",
    *,
    alpha: float = 0.05,
    ln_p: Sequence[float | None] | None = None,
) -> Adjustment:
    """Correct the p values of a family.

    ``ln_p`` are their natural logarithms where they are known: they are used where p is too small for a double. A p
    value that is None or NaN stays without, and does not count in the family, as in R's ``p.adjust``.

    ========== ================================================== ==============================================
    bonferroni m p                                                any dependence (Dunn, JASA 56, 1961)
    holm       running maximum of (m − i + 1) p(i)                any dependence (Holm, Scand. J. Stat. 6, 1979)
    hochberg   running minimum of the same, from the largest      independent or positively dependent tests
                                                                  (Hochberg, Biometrika 75, 1988)
    hommel     closed Simes tests, no weaker than Hochberg's      as Hochberg's (Hommel, Biometrika 75, 1988)
    sidak      1 − (1 − p)^m                                      independent tests (Šidák, JASA 62, 1967)
    holm_sidak running maximum of 1 − (1 − p(i))^(m − i + 1)      independent tests (Holland and Copenhaver,
                                                                  Biometrics 43, 1987)
    bh         running minimum of m p(i) / i, from the largest    bounds the share of false findings, tests as
                                                                  for Hochberg's (JRSS B 57, 1995)
    by         bh times 1 + 1/2 + … + 1/m                         the same for any dependence (Benjamini and
                                                                  Yekutieli, Annals of Statistics 29, 2001)
    ========== ================================================== ==============================================

    All but the last two bound the chance of any false finding. Raises ``StatisticsError``, with code ``p_out_of_range``
    for a p value outside of 0 to 1.
    """
    p, ln = _checked(p_values, method, alpha, ln_p)
    known = [place for place, value in enumerate(p) if not math.isnan(value)]
    corrected, logarithms = _corrected([p[place] for place in known], [ln[place] for place in known], method)
    found: list[float | None] = [None] * len(p)
    found_ln: list[float | None] = [None] * len(p)
    for place, value, logarithm in zip(known, corrected, logarithms, strict=True):
        found[place], found_ln[place] = value, logarithm
    return Adjustment(
        method=method,
        p_values=tuple(found),
        ln_p=tuple(found_ln),
        is_rejected=tuple(value is not None and value <= alpha for value in found),
        alpha=alpha,
        n_tests=len(known),
    )


def adjusted(p_values: Sequence[float | None], correction: Correction) -> list[float | None]:
    """Only the corrected p values of ``adjust``."""
    return list(adjust(p_values, correction).p_values)


def _checked(
    p_values: Sequence[float | None], method: Correction, alpha: float, ln_p: Sequence[float | None] | None
) -> tuple[list[float], list[float]]:
    """P values and their logarithms, NaN where there is none."""
    checks = Checks()
    checks.open_unit("alpha", alpha)
    checks.choice("method", method, CORRECTIONS)
    p = checks.array("p_values", cast("Values", p_values)).tolist()
    given = [math.nan] * len(p) if ln_p is None else checks.array("ln_p", cast("Values", ln_p)).tolist()
    if len(given) != len(p):
        checks.add("ln_p", f"it has {len(given)} values, p_values has {len(p)}", expected="one for each p value")
    checks.done()
    outside = [
        Problem(f"p_values[{place}]", "p_out_of_range: a p value lies between 0 and 1", repr(value))
        for place, value in enumerate(p)
        if not (math.isnan(value) or 0.0 <= value <= 1.0)
    ] + [
        Problem(f"ln_p[{place}]", "p_out_of_range: the logarithm of a p value is at most 0", repr(value))
        for place, value in enumerate(given)
        if value > 0.0
    ]
    if outside:
        raise StatisticsError(outside, code="p_out_of_range")
    return p, [_ln(value) if math.isnan(ln) else ln for value, ln in zip(p, given, strict=True)]


def _ln(p: float) -> float:
    return math.log(p) if p > 0 else -math.inf if p == 0 else math.nan


def _corrected(p: list[float], ln_p: list[float], method: Correction) -> tuple[list[float], list[float]]:
    """Corrected p values and their logarithms: both are computed, so that neither is rounded by way of the other."""
    import numpy as np

    if not p or method == "none":
        return p, ln_p
    rule = _RULES[method]
    plain = _in_order(np.array(p), lambda values: rule(values, _PLAIN))
    logarithms = _in_order(np.array(ln_p), lambda values: rule(values, _LOGARITHMIC)).tolist()
    both = zip(plain.tolist(), logarithms, strict=True)
    return [math.exp(ln) if value < SMALL and ln > -math.inf else value for value, ln in both], logarithms


def _in_order(values: Real, rule: Callable[[Real], Real]) -> Real:
    """What a rule makes of the values sorted, back in the order given."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    found = np.empty_like(values)
    found[order] = rule(values[order])
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Scale:
    """What the rules need of numbers, for p and for its logarithm."""

    one: float
    times: Callable[[Real, Real], Real]
    any_of: Callable[[Real, Real], Real]
    """Probability that any of so many independent tests has a p value this small."""


def _plain_any(p: Real, tests: Real) -> Real:
    import numpy as np

    with np.errstate(divide="ignore"):  # p = 1 has an infinite logarithm, and the answer is 1
        return np.asarray(-np.expm1(tests * np.log1p(-p)))


def _logarithmic_any(ln_p: Real, tests: Real) -> Real:
    import numpy as np

    with np.errstate(divide="ignore"):
        found = np.log(-np.expm1(tests * np.log1p(-np.exp(ln_p))))
    return np.where(ln_p < math.log(SMALL), ln_p + np.log(tests), found)


def _logarithmic_times(ln_p: Real, factors: Real) -> Real:
    import numpy as np

    return ln_p + np.log(factors)


_PLAIN: Final = _Scale(1.0, lambda p, factors: p * factors, _plain_any)
_LOGARITHMIC: Final = _Scale(0.0, _logarithmic_times, _logarithmic_any)


def _at_most_one(values: Real, scale: _Scale) -> Real:
    import numpy as np

    return np.minimum(values, scale.one)


def _same(count: int) -> Real:
    import numpy as np

    return np.full(count, float(count))


def _left(count: int) -> Real:
    """Tests that are not yet decided: m, m − 1, …, 1."""
    import numpy as np

    return np.arange(count, 0, -1, dtype=np.float64)


def _up(values: Real, scale: _Scale) -> Real:
    """The running minimum from the largest."""
    import numpy as np

    return _at_most_one(np.minimum.accumulate(values[::-1])[::-1], scale)


def _down(values: Real, scale: _Scale) -> Real:
    """The running maximum from the smallest."""
    import numpy as np

    return _at_most_one(np.maximum.accumulate(values), scale)


def _share(count: int) -> Real:
    """Tests over rank: m, m / 2, …, 1."""
    import numpy as np

    return count / np.arange(1, count + 1)


def _by(values: Real, scale: _Scale) -> Real:
    count = len(values)
    harmonic = math.fsum(1 / rank for rank in range(1, count + 1))
    return _up(scale.times(values, _share(count) * harmonic), scale)


def _hommel(values: Real, scale: _Scale) -> Real:
    """Closed testing with Simes' test, in the order of squares (Wright, Biometrics 48, 1992; R's ``p.adjust``)."""
    import numpy as np

    count = len(values)
    least = scale.times(values, _share(count)).min()
    found = np.full(count, least)
    for size in range(count - 1, 1, -1):
        head, tail = values[: count - size + 1], values[count - size + 1 :]
        smallest = scale.times(tail, size / np.arange(2.0, size + 1)).min()
        first = np.minimum(scale.times(head, np.full(len(head), float(size))), smallest)
        found[: len(head)] = np.maximum(found[: len(head)], first)
        found[len(head) :] = np.maximum(found[len(head) :], first[-1])
    return _at_most_one(np.maximum(found, values), scale)


_RULES: Final[Mapping[str, Callable[[Real, _Scale], Real]]] = MappingProxyType(
    {
        "bonferroni": lambda values, scale: _at_most_one(scale.times(values, _same(len(values))), scale),
        "holm": lambda values, scale: _down(scale.times(values, _left(len(values))), scale),
        "hochberg": lambda values, scale: _up(scale.times(values, _left(len(values))), scale),
        "hommel": _hommel,
        "sidak": lambda values, scale: _at_most_one(scale.any_of(values, _same(len(values))), scale),
        "holm_sidak": lambda values, scale: _down(scale.any_of(values, _left(len(values))), scale),
        "bh": lambda values, scale: _up(scale.times(values, _share(len(values))), scale),
        "by": _by,
    }
)
