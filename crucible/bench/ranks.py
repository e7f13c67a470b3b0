"""Rank tests of two independent samples: Mann and Whitney's, and Brunner and Munzel's for unequal shapes.

Infinite values have ranks: they are taken as larger or smaller than all others.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from crucible.bench.distributions import Tail, normal_quantile, normal_tail, t_quantile, t_tail
from crucible.bench.rank_exact import Null, doubled, is_countable_sum, rank_sum_null
from crucible.bench.result import Alternative, Effect, Interval, TestResult
from crucible.bench.samples import Checks, NanPolicy, Samples, Values, independent
from crucible.bench.scalars import plain_scalars
from crucible.bench.shifts import PAIRS_LISTED, difference_order, normal_place, shift_with_interval

if TYPE_CHECKING:
    from crucible.bench.samples import Real

RankMethod = Literal["auto", "exact", "exact_conditional", "asymptotic"]
RANK_METHODS: Final[tuple[RankMethod, ...]] = get_args(RankMethod)
EXACT_BELOW: Final = 50
"""``auto`` is exact where both samples have fewer values, as R's ``wilcox.test``, with ties as well."""
TIES: Final = "ties: the exact distribution is conditional on them"
STEPS: Final = 200
"""Halvings of an interval of doubles within 0 to 1: some sixty are used."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Mid-ranks of values, from 1, in their order."""

    ranks: Real
    ties: float
    """Sum of t³ − t over the sets of t equal values."""


def ranked(values: Real) -> Ranked:
    """Mid-ranks of values without NaN, in n log n."""
    import numpy as np

    order = np.argsort(values)
    in_order = values[order]
    starts = np.flatnonzero(np.concatenate(([True], in_order[1:] != in_order[:-1])))
    sizes = np.diff(np.append(starts, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    many = sizes[sizes > 1].astype(np.float64)
    return Ranked(ranks, float((many * (many * many - 1)).sum()))


def without_nan_test(data: Samples) -> str | None:
    """Why ranks can't be had: a NaN, or no values. Infinite values have ranks."""
    if data.reason == "nan_input":
        return "nan_input"
    return "empty" if min(data.n) == 0 else None


@plain_scalars
def mannwhitney(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    method: RankMethod = "auto",
    continuity: bool = True,
    level: float = 0.95,
    nan_policy: NanPolicy = "propagate",
    shift: bool | None = None,
) -> TestResult:
    """Mann and Whitney's U test (Annals of Mathematical Statistics 18, 1947), with U of ``a`` as R's W.

    ``exact`` counts every way to part the ranks, conditional on ties (``exact_conditional`` is the same);
    ``asymptotic`` is normal, with the variance
    corrected for ties and half a step for ``continuity``; ``auto`` is exact below `EXACT_BELOW` values in each.
    The estimate is Hodges and Lehmann's shift a − b with the interval of its order statistics (Hollander and Wolfe,
    Nonparametric Statistical Methods, 4.2 and 4.3), which is conservative with ties; ``shift`` None: up to 2²⁴ pairs.
    Effects: ``cles`` P(a > b) + ½ P(a = b) and ``rank_biserial`` 2 cles − 1, with Newcombe's interval.
    ``details['z']`` is positive in the direction of the alternative, two-sided always up.

    Raises ``StatisticsError`` for a call that makes no sense, and for an exact distribution too large to count.
    """
    checks = Checks()
    checks.alternative(alternative)
    checks.choice("method", method, RANK_METHODS)
    checks.open_unit("level", level)
    data = independent(checks, nan_policy, a=a, b=b)
    known = TestResult(
        test="mannwhitney", method="Mann–Whitney U", statistic_name="U", estimate_name="Hodges–Lehmann shift",
        n=data.n, n_dropped=data.n_dropped, alternative=alternative,
    )  # fmt: skip
    reason = without_nan_test(data)
    if reason is not None:
        return dataclasses.replace(known, status="degenerate", reason=reason)
    import numpy as np

    first, second = data.values
    n1, n2 = data.n
    both = ranked(np.concatenate((first, second)))
    u = float(both.ranks[:n1].sum()) - n1 * (n1 + 1) / 2
    effects = _effects(u, n1, n2, known, level)
    known = dataclasses.replace(known, statistic=u, details={"u2": n1 * n2 - u}, effects=effects)
    n = n1 + n2
    if both.ties == float(n) * (float(n) ** 2 - 1) and n > 1:
        return dataclasses.replace(known, status="degenerate", reason="all_tied", p_value=1.0, ln_p=0.0)
    is_exact = method in {"exact", "exact_conditional"} or (method == "auto" and max(n1, n2) < EXACT_BELOW)
    if is_exact:
        _require_countable(both.ranks, n1)
        tail = rank_sum_null(doubled(both.ranks), n1).tail(u + n1 * (n1 + 1) / 2, alternative)
        known = dataclasses.replace(known, method="Mann–Whitney U, exact, conditional on the ranks")
    else:
        tail, z, deviation = _normal(u, n1, n2, both.ties, alternative, continuity=continuity)
        said = "Mann–Whitney U, normal, variance corrected for ties" + (", continuity" if continuity else "")
        known = dataclasses.replace(known, method=said, details={**known.details, "z": z, "deviation_u": deviation})
    said_ties = (TIES,) if is_exact and both.ties else ()
    tested = dataclasses.replace(known, p_value=tail.p, ln_p=tail.ln_p, warnings=said_ties)
    return _with_shift(tested, first, second, level, wanted=shift, is_finite=data.reason is None)


def _require_countable(ranks: Real, chosen: int) -> None:
    if not is_countable_sum(ranks, chosen):
        checks = Checks()
        checks.add("method", "the exact distribution of this many values is too large", "exact", "asymptotic")
        checks.done()


def _normal(
    u: float, n1: int, n2: int, ties: float, alternative: Alternative, *, continuity: bool
) -> tuple[Tail, float, float]:
    n, half = n1 + n2, n1 * n2 / 2
    deviation = math.sqrt(n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1))))
    away = abs(u - half) if alternative == "two-sided" else (u - half) * (1 if alternative == "greater" else -1)
    z = (away - (0.5 if continuity else 0.0)) / deviation
    if alternative == "two-sided":
        return (Tail(1.0, 0.0) if z <= 0 else normal_tail(z)), z, deviation
    return normal_tail(z, "greater"), z, deviation


def _effects(u: float, n1: int, n2: int, known: TestResult, level: float) -> tuple[Effect, ...]:
    cles = u / (n1 * n2)
    signed = (2 * u - n1 * n2) / (n1 * n2)
    low, high = dominance_interval(cles, n1, n2, level, known.alternative)
    method = "Newcombe, Statistics in Medicine 25, 2006, method 5"
    interval = Interval.sided(low, high, level, known.alternative, method)
    doubled_interval = Interval.sided(2 * low - 1, 2 * high - 1, level, known.alternative, method)
    return (Effect(name="rank_biserial", value=signed, interval=doubled_interval),
            Effect(name="cles", value=cles, interval=interval))  # fmt: skip


def dominance_interval(
    share: float, n1: int, n2: int, level: float, alternative: Alternative = "two-sided"
) -> tuple[float, float]:
    """Interval of P(a > b) + ½ P(a = b): where the estimate lies z standard errors of a candidate away.

    The variance is that of Hanley and McNeil for shifted distributions (Newcombe, Statistics in Medicine 25, 2006,
    559–573, method 5): the interval exists at complete separation as well.
    """
    z = -normal_quantile((1 - level) / (2 if alternative == "two-sided" else 1))
    more = (n1 + n2) / 2 - 1

    def low(estimate: float) -> float:
        """Candidate below the estimate at z, by halving."""
        if estimate <= 0:
            return 0.0
        inside, outside = estimate, 0.0
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            if middle in {inside, outside}:
                break
            spread = middle * (1 - middle) * (1 + more * ((1 - middle) / (2 - middle) + middle / (1 + middle)))
            if estimate - middle > z * math.sqrt(spread / (n1 * n2)):
                outside = middle
            else:
                inside = middle
        return outside

    return (low(share), 1 - low(1 - share)) if z > 0 else (share, share)


@functools.lru_cache(maxsize=64)
def _untied(n1: int, n2: int) -> Null:
    """U of samples without ties."""
    sums = rank_sum_null(tuple(range(2, 2 * (n1 + n2) + 1, 2)), n1)
    return dataclasses.replace(sums, first=sums.first - n1 * (n1 + 1) / 2)


def _with_shift(
    known: TestResult, a: Real, b: Real, level: float, *, wanted: bool | None, is_finite: bool
) -> TestResult:
    n1, n2 = known.n
    if wanted is False or (wanted is None and n1 * n2 > PAIRS_LISTED) or not is_finite:
        said = () if wanted is False else (
            "no Hodges–Lehmann shift: a value is infinite" if not is_finite
            else "no Hodges–Lehmann shift of so many pairs unless it is asked for (shift=True)",)  # fmt: skip
        return dataclasses.replace(known, warnings=known.warnings + said)
    outside: Callable[[float], float | None]
    if max(n1, n2) < EXACT_BELOW:
        outside, said_method = _untied(n1, n2).lower_quantile, "order statistics of the differences, exact"
    else:
        outside = normal_place(n1 * n2, math.sqrt(n1 * n2 * (n1 + n2 + 1) / 12))
        said_method = "order statistics of the differences, normal"
    import numpy as np

    with np.errstate(over="ignore"):  # a difference that no double holds is infinite
        estimate, interval = shift_with_interval(
            lambda places: difference_order(a, b, places), n1 * n2, outside,
            alternative=known.alternative, level=level, method=said_method,
        )  # fmt: skip
    if not math.isfinite(estimate):
        return dataclasses.replace(known, warnings=(*known.warnings, "the shift is more than a double holds"))
    return dataclasses.replace(known, estimate=estimate, interval=interval)


@plain_scalars
def brunner_munzel(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = 0.95,
    nan_policy: NanPolicy = "propagate",
    distribution: Literal["t", "normal"] = "t",
) -> TestResult:
    """Brunner and Munzel's test (Biometrical Journal 42, 2000) of P(a > b) + ½ P(a = b) = ½, for unequal shapes.

    The estimate is that probability, with the interval estimate ± t standard errors, within 0 to 1. The statistic has
    the sign of SciPy's and lawstat's: positive where b tends to be larger. At complete separation there is no variance:
    degenerate (``zero_variance``) with an infinite statistic.
    """
    checks = Checks()
    checks.alternative(alternative)
    checks.open_unit("level", level)
    checks.choice("distribution", distribution, ("t", "normal"))
    data = independent(checks, nan_policy, a=a, b=b)
    known = TestResult(
        test="brunner_munzel", method="Brunner–Munzel (Biometrical Journal 42, 2000)", statistic_name="W",
        estimate_name="P(a > b) + ½ P(a = b)", n=data.n, n_dropped=data.n_dropped, alternative=alternative, null=0.5,
    )  # fmt: skip
    reason = without_nan_test(data) or ("n_too_small" if min(data.n) < 2 else None)  # noqa: PLR2004
    if reason is not None:
        return dataclasses.replace(known, status="degenerate", reason=reason)
    parts = _placements(data)
    below = parts["below"]
    known = dataclasses.replace(
        known, estimate=1 - below, details={"p_a_less_b": below},
        effects=(Effect(name="rank_biserial", value=1 - 2 * below),),
    )  # fmt: skip
    if parts["variance"] == 0:
        if below == 0.5:  # noqa: PLR2004
            return dataclasses.replace(known, status="degenerate", reason="all_tied", p_value=1.0, ln_p=0.0)
        infinite = math.copysign(math.inf, below - 0.5)
        return dataclasses.replace(known, status="degenerate", reason="zero_variance", statistic=infinite)
    error = math.sqrt(parts["variance"])
    statistic = (below - 0.5) / error
    df = parts["df"] if distribution == "t" else math.inf
    tail = t_tail(-statistic, df, alternative)
    quantile = -t_quantile((1 - level) / (2 if alternative == "two-sided" else 1), df)
    low, high = max(0.0, 1 - below - quantile * error), min(1.0, 1 - below + quantile * error)
    interval = Interval.sided(low, high, level, alternative, "estimate ± t standard errors (Brunner–Munzel)")
    signed = Interval.sided(2 * low - 1, 2 * high - 1, level, alternative, interval.method)
    return dataclasses.replace(
        known, statistic=statistic, standard_error=error, df=(df,), p_value=tail.p, ln_p=tail.ln_p, interval=interval,
        effects=(Effect(name="rank_biserial", value=1 - 2 * below, interval=signed),),
    )  # fmt: skip


def _placements(data: Samples) -> dict[str, float]:
    """P(a < b) + ½ P(a = b), the variance of its estimate and Satterthwaite's degrees of freedom, by placements."""
    import numpy as np

    a, b = data.values
    n1, n2 = data.n
    both = ranked(np.concatenate((a, b))).ranks
    placed: list[Any] = [both[:n1] - ranked(a).ranks, both[n1:] - ranked(b).ranks]
    s1, s2 = (float(np.var(each, ddof=1)) for each in placed)
    v1, v2 = s1 / n1 / n2**2, s2 / n2 / n1**2
    variance = v1 + v2
    df = variance**2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1)) if variance else math.nan
    below = float(cast("Any", placed[1].sum())) / (n1 * n2)
    return {"below": below, "variance": variance, "df": df}
