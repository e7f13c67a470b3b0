"""Permutation tests: of two independent samples, of pairs by their signs, and of a correlation.

Exact where every permutation can be counted, else Monte Carlo with p = (b + 1) / (m + 1) (Phipson and Smyth,
Statistical Applications in Genetics and Molecular Biology 9, 2010). Equal sums count as equal, and others do not, also
beside a great value or far from 0 (`crucible.bench.permutation_values`); other statistics than a mean are compared with
a tolerance of their own rounding. Two-sided p is twice the smaller tail, as SciPy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from crucible.bench.distributions import Tail, tail_of
from crucible.bench.permutation_counts import Tails, count_signs, count_splits, draw_signs, draw_splits, draw_statistic
from crucible.bench.rank_exact import one_or_both
from crucible.bench.ranks import ranked
from crucible.bench.result import Alternative, TestResult
from crucible.bench.samples import Checks, NanPolicy, Samples, Values, independent, paired
from crucible.bench.scalars import plain_scalars

if TYPE_CHECKING:
    from crucible.bench.samples import Real

SplitStatistic = Literal["mean_difference", "median_difference", "welch_t"]
SPLIT_STATISTICS: Final[tuple[SplitStatistic, ...]] = get_args(SplitStatistic)
RESAMPLES: Final = 9999
RESAMPLES_MAX: Final = 10**9
PERMUTED_UP_TO: Final = 9
"""Pairs of a correlation whose permutations are all counted without being asked: 362,880."""
PERMUTED_MAX: Final = 11


def _checked(
    checks: Checks,
    alternative: Alternative,
    n_resamples: int,
    seed: int | None,
) -> None:
    checks.alternative(alternative)
    checks.number("n_resamples", n_resamples, low=1, high=RESAMPLES_MAX, is_whole=True)
    if seed is not None:
        checks.number("seed", seed, low=0, is_whole=True)


def _tested(known: TestResult, tails: Tails, seed: int | None) -> TestResult:
    """The result of what was counted or drawn."""
    if tails.ready is not None:
        less, greater = tails.ready
    else:
        less, greater = (_share(each, tails.total) for each in (tails.less, tails.greater))
    tail = one_or_both(less, greater, known.alternative)
    details = {
        **known.details, "p_less": less.p, "p_greater": greater.p, "n_permutations": tails.n_permutations,
        "is_exact": float(tails.is_exact),
    }  # fmt: skip
    kind = "exact" if tails.is_exact else "Monte Carlo, (b + 1) / (m + 1)"
    return dataclasses.replace(
        known, p_value=tail.p, ln_p=tail.ln_p, details=details, method=f"{known.method}, {kind}",
        seed=None if tails.is_exact else seed,
    )  # fmt: skip


def _share(count: int, total: int) -> Tail:
    return tail_of(count / total, (total - count) / total)


def _need_seed(checks: Checks, seed: int | None) -> int:
    if seed is None:
        checks.add("seed", "there are too many permutations to count all; drawing some needs a seed", expected="a seed")
        checks.done()
    return int(seed or 0)


def _refuse_exact(checks: Checks, exact: bool | None) -> None:  # noqa: FBT001
    if exact:
        checks.add("exact", "there are too many permutations to count all", exact, "False, with a seed")
        checks.done()


@plain_scalars
def permutation_independent(
    a: Values,
    b: Values,
    *,
    statistic: SplitStatistic | Callable[..., Any] = "mean_difference",
    alternative: Alternative = "two-sided",
    exact: bool | None = None,
    n_resamples: int = RESAMPLES,
    seed: int | None = None,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Fisher's and Pitman's permutation test of two independent samples (Pitman, JRSS Supplement 4, 1937).

    ``statistic``: ``mean_difference``, ``median_difference``, ``welch_t`` (right for unequal variances too, in large
    samples: Janssen, Statistics and Probability Letters 36, 1997), or a function of two arrays and ``axis`` (as
    scipy.stats takes them). ``exact`` None: where all splits can be counted, else drawn with ``seed``; of the mean all
    splits of up to 40 values are counted (in seconds where a value is far greater than others), and of many more where
    the values are whole numbers or short decimals.
    """
    checks = Checks()
    _checked(checks, alternative, n_resamples, seed)
    if not callable(statistic):
        checks.choice("statistic", statistic, SPLIT_STATISTICS)
    data = independent(checks, nan_policy, a=a, b=b)
    name = statistic if isinstance(statistic, str) else "statistic"
    known = TestResult(
        test="permutation_independent", method=f"permutation of {name.replace('_', ' ')}", statistic_name=name,
        estimate_name=name, n=data.n, n_dropped=data.n_dropped, alternative=alternative,
    )  # fmt: skip
    reason = data.reason or ("empty" if min(data.n) == 0 else None)
    if reason is None and statistic == "welch_t" and min(data.n) < 2:  # noqa: PLR2004
        reason = "n_too_small"
    if reason is not None:
        return dataclasses.replace(known, status="degenerate", reason=reason)
    import numpy as np

    first, second = data.values
    if (np.concatenate(data.values) == first[0]).all():
        return dataclasses.replace(
            known, status="degenerate", reason="all_tied", p_value=1.0, ln_p=0.0, estimate=0.0, statistic=0.0
        )
    function = statistic if callable(statistic) else _SPLIT_FUNCTIONS[statistic]
    if isinstance(statistic, str) and statistic != "mean_difference":
        first, second = _without_offset(first, second)
    with np.errstate(all="ignore"):
        value = _mean_difference_of(data) if statistic == "mean_difference" else float(function(first, second, axis=-1))
    known = dataclasses.replace(known, statistic=value, estimate=value)
    if not math.isfinite(value):
        reason = "zero_variance" if statistic == "welch_t" else "too_great"
        return dataclasses.replace(known, status="degenerate", reason=reason, statistic=None, estimate=None)
    is_sum = statistic == "mean_difference"
    tails = None if exact is False else count_splits(first, second, None if is_sum else function, is_asked=bool(exact))
    if tails is None:
        _refuse_exact(checks, exact)
        drawn = _need_seed(checks, seed)
        tails = draw_splits(first, second, n_resamples, drawn) if is_sum else draw_statistic(
            first, second, function, n_resamples, drawn)  # fmt: skip
    return _tested(known, tails, seed)


def _without_offset(a: Real, b: Real) -> tuple[Real, Real]:
    """Samples that lie close together, far from 0, moved to 0: no statistic of a difference changes, nor is rounded."""
    import numpy as np

    every = np.concatenate((a, b))
    middle = np.partition(every, len(every) // 2)[len(every) // 2]
    return (a - middle, b - middle) if float(np.abs(every / 2 - middle / 2).max()) < abs(middle) / 4 else (a, b)


def _mean_difference_of(data: Samples) -> float:
    import numpy as np

    means = [each.astype(np.longdouble).mean() for each in data.values]
    return float(means[0] - means[1])


def _median_difference(a: Any, b: Any, axis: int) -> Any:
    import numpy as np

    return np.median(a, axis=axis) - np.median(b, axis=axis)


def _welch_t(a: Any, b: Any, axis: int) -> Any:
    import numpy as np

    away = np.mean(a, axis=axis) - np.mean(b, axis=axis)
    spread = np.var(a, axis=axis, ddof=1) / a.shape[axis] + np.var(b, axis=axis, ddof=1) / b.shape[axis]
    with np.errstate(divide="ignore", invalid="ignore"):
        return away / np.sqrt(spread)


def _mean_difference(a: Any, b: Any, axis: int) -> Any:
    return a.mean(axis=axis) - b.mean(axis=axis)


_SPLIT_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "mean_difference": _mean_difference,
    "median_difference": _median_difference,
    "welch_t": _welch_t,
}


@plain_scalars
def permutation_paired(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    exact: bool | None = None,
    n_resamples: int = RESAMPLES,
    seed: int | None = None,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Fisher's randomization test of pairs: the sign of each difference a − b is as likely as the other.

    The statistic is the mean difference (Fisher, The Design of Experiments, 1935). ``exact`` None: all 2ⁿ
    signs of up to 40 pairs are counted, and of up to 1,000 where the values are short decimals; else they are drawn.
    """
    checks = Checks()
    _checked(checks, alternative, n_resamples, seed)
    data = paired(checks, nan_policy, a=a, b=b)
    known = TestResult(
        test="permutation_paired", method="permutation of signs, mean difference", statistic_name="mean_difference",
        estimate_name="mean_difference", n=data.n[:1], n_dropped=data.n_dropped, alternative=alternative,
    )  # fmt: skip
    reason = data.reason or ("empty" if data.n[0] == 0 else None)
    if reason is not None:
        return dataclasses.replace(known, status="degenerate", reason=reason)
    first, second = data.values
    value = _mean_difference_of(data)
    if not math.isfinite(value):
        return dataclasses.replace(known, status="degenerate", reason="too_great")
    known = dataclasses.replace(known, statistic=value, estimate=value)
    if (first == second).all():
        return dataclasses.replace(known, status="degenerate", reason="no_difference", p_value=1.0, ln_p=0.0)
    tails = None if exact is False else count_signs(first, second)
    if tails is None:
        _refuse_exact(checks, exact)
        tails = draw_signs(first, second, n_resamples, _need_seed(checks, seed))
    return _tested(known, tails, seed)


@plain_scalars
def permutation_correlation(
    x: Values,
    y: Values,
    *,
    statistic: Literal["pearson", "spearman"] = "pearson",
    alternative: Alternative = "two-sided",
    exact: bool | None = None,
    n_resamples: int = RESAMPLES,
    seed: int | None = None,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Pitman's test of a correlation (JRSS Supplement 4, 1937): every pairing of x and y is as likely as any other.

    ``spearman`` correlates mid-ranks: with few pairs this is the exact test, conditional on ties. ``exact`` None: all
    n! pairings of up to 9 pairs are counted (``exact=True``: up to 11), else they are drawn with ``seed``.
    """
    from crucible.bench.correlations import correlation
    from crucible.bench.permutation_counts import count_pairings, draw_pairings

    checks = Checks()
    _checked(checks, alternative, n_resamples, seed)
    checks.choice("statistic", statistic, ("pearson", "spearman"))
    data = paired(checks, nan_policy, x=x, y=y)
    known = TestResult(
        test="permutation_correlation", method=f"permutation of pairings, {statistic}", statistic_name="r",
        estimate_name="correlation", n=data.n[:1], n_dropped=data.n_dropped, alternative=alternative,
    )  # fmt: skip
    n = data.n[0]
    reason = data.reason or ("empty" if n == 0 else "n_too_small" if n < 2 else None)  # noqa: PLR2004
    if reason is not None:
        return dataclasses.replace(known, status="degenerate", reason=reason)
    first, second = (_ranks(each) for each in data.values) if statistic == "spearman" else data.values
    found = correlation(first, second)
    if found.reason is not None and found.reason != "perfect_correlation":
        return dataclasses.replace(known, status="degenerate", reason=found.reason)
    known = dataclasses.replace(known, statistic=found.r, estimate=found.r)
    if exact is True and n > PERMUTED_MAX:
        _refuse_exact(checks, exact)
    if exact is True or (exact is None and n <= PERMUTED_UP_TO):
        return _tested(known, count_pairings(first, second), seed)
    return _tested(known, draw_pairings(first, second, n_resamples, _need_seed(checks, seed)), seed)


def _ranks(values: Real) -> Real:
    return ranked(values).ranks
