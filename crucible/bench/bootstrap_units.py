"""What the bootstrap draws: values, pairs or clusters, with the statistic of any draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from crucible.bench.bootstrap_draws import Of, Statistic, Units

if TYPE_CHECKING:
    from crucible.bench.samples import Real

STATISTICS: Final = ("mean", "median", "std")


def _function(statistic: str | Statistic) -> Statistic:
    import numpy as np

    if callable(statistic):
        return statistic

    def std(values: Any, axis: int) -> Any:
        return np.std(values, axis=axis, ddof=1)

    functions: dict[str, Statistic] = {"mean": np.mean, "median": np.median, "std": std}
    return functions[statistic]


def sample_units(values: Real, statistic: str | Statistic, standard_error: Statistic | None) -> Units:
    """Values of one sample."""
    function = _function(statistic)
    error: Statistic | None = standard_error or {"mean": _mean_error, "std": _std_error}.get(str(statistic))
    error_of: Of | None = None
    if error is not None:
        kept = error

        def error_of(places: Any) -> Any:
            return kept(values.take(places), axis=-1)

    left_out = {"mean": _left_out_means, "std": _left_out_stds}.get(str(statistic)) if len(values) > 2 else None  # noqa: PLR2004
    return Units(
        len(values), lambda places: function(values.take(places), axis=-1), error_of,
        None if left_out is None else lambda: left_out(values),
    )  # fmt: skip


def _mean_error(values: Any, axis: int) -> Any:
    import numpy as np

    return np.std(values, axis=axis, ddof=1) / math.sqrt(values.shape[axis])


def _std_error(values: Any, axis: int) -> Any:
    """Of a standard deviation, by the delta method: √((m₄ − s⁴ (n − 3) / (n − 1)) / n) / (2 s)."""
    import numpy as np

    n = values.shape[axis]
    away = values - values.mean(axis=axis, keepdims=True)
    variance = (away**2).sum(axis=axis) / (n - 1)
    spread = np.maximum(0.0, (away**4).mean(axis=axis) - variance**2 * (n - 3) / (n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.sqrt(spread / n) / (2 * np.sqrt(variance)))


def _left_out_means(values: Real) -> Real:
    import numpy as np

    return np.asarray((values.sum() - values) / (len(values) - 1), np.float64)


def _left_out_stds(values: Real) -> Real:
    import numpy as np

    n = len(values)
    away = values - values.mean()
    squares = (away @ away) - away**2 * (n / (n - 1))
    return np.asarray(np.sqrt(np.maximum(0.0, squares) / (n - 2)))


def paired_units(a: Real, b: Real, statistic: str | Statistic) -> Units:
    """Pairs, by the difference of a statistic of both; of the mean, the mean of the differences."""
    if statistic == "mean":
        return sample_units(a - b, "mean", None)
    function = _function(statistic)
    return Units(len(a), lambda places: function(a.take(places), axis=-1) - function(b.take(places), axis=-1))


def clustered_units(groups: Sequence[Real], statistic: str | Statistic) -> Units:
    """Clusters, by a statistic of all their values."""
    import numpy as np

    n = len(groups)
    if statistic == "mean":
        sums, sizes = np.array([each.sum() for each in groups]), np.array([float(len(each)) for each in groups])
        return _ratio_units(sums, sizes)
    function = _function(statistic)
    if len({len(each) for each in groups}) == 1:
        table = np.stack(groups)
        return Units(n, lambda places: function(table[places].reshape(len(places), -1), axis=-1))

    def of(places: Any) -> Any:
        return np.array([float(function(np.concatenate([groups[place] for place in row]), axis=-1)) for row in places])

    return Units(n, of)


def _ratio_units(sums: Real, sizes: Real) -> Units:
    """The mean of all values of clusters: the sum of sums over the sum of sizes."""
    import numpy as np

    n = len(sums)

    def of(places: Any) -> Any:
        return sums.take(places).sum(axis=-1) / sizes.take(places).sum(axis=-1)

    def error_of(places: Any) -> Any:
        """The cluster-robust one, by each cluster's distance from the mean."""
        some, their = sums.take(places), sizes.take(places)
        total = their.sum(axis=-1, keepdims=True)
        away = some - some.sum(axis=-1, keepdims=True) / total * their
        return np.sqrt((away**2).sum(axis=-1) * (n / (n - 1))) / total[..., 0]

    def left_out() -> Real:
        return np.asarray((sums.sum() - sums) / (sizes.sum() - sizes), np.float64)

    return Units(n, of, error_of, left_out)
