"""Wilcoxon's signed-rank test of pairs, or of one sample."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, get_args

from crucible.bench.distributions import Tail, normal_tail, t_quantile
from crucible.bench.rank_exact import Null, doubled, is_countable_signs, signed_rank_null
from crucible.bench.ranks import TIES, ranked
from crucible.bench.result import Alternative, Effect, Interval, TestResult
from crucible.bench.samples import Checks, NanPolicy, Values, paired
from crucible.bench.scalars import plain_scalars
from crucible.bench.shifts import PAIRS_LISTED, average_order, normal_place, shift_with_interval

if TYPE_CHECKING:
    from crucible.bench.samples import Real

SignedMethod = Literal["auto", "exact", "exact_conditional", "asymptotic"]
SIGNED_METHODS: Final[tuple[SignedMethod, ...]] = get_args(SignedMethod)
ZeroMethod = Literal["wilcox", "pratt", "zsplit"]
ZERO_METHODS: Final[tuple[ZeroMethod, ...]] = get_args(ZeroMethod)
EXACT_UP_TO: Final = 50
"""``auto`` is exact with so many differences, with ties and zeros as well."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Signed:
    """Ranks of the differences that count, by sign."""

    ranks: Real
    """Of the differences that are not zero."""
    plus: float
    minus: float
    ties: float
    """Sum of t³ − t over sets of equal sizes, of differences that are not zero."""
    n_zero: int


@plain_scalars
def wilcoxon(
    a: Values,
    b: Values | None = None,
    *,
    alternative: Alternative = "two-sided",
    method: SignedMethod = "auto",
    zero_method: ZeroMethod = "wilcox",
    continuity: bool = True,
    round_differences: int | None = None,
    level: float = 0.95,
    nan_policy: NanPolicy = "propagate",
    shift: bool | None = None,
) -> TestResult:
    """Wilcoxon's signed-rank test (Biometrics Bulletin 1, 1945), with W+, the rank sum of a − b > 0, as R's V.

    ``exact`` counts every choice of signs, conditional on ties and zeros (``exact_conditional`` is the same);
    ``asymptotic`` is normal, corrected for ties and zeros, with half a step for ``continuity``; ``auto`` is exact up to
    `EXACT_UP_TO` differences. Zeros: ``wilcox`` leaves them out, ``pratt`` ranks them and then leaves their ranks out
    (Pratt, JASA 54, 1959), ``zsplit`` gives half of their ranks to each side. ``round_differences`` rounds to so many
    decimals first, so that 0.3 − 0.2 and 0.2 − 0.1 tie. The estimate is Hodges and Lehmann's: the median of the
    averages of any two differences, with the interval of its order statistics (Hollander and Wolfe, 3.2, 3.3), both of
    the differences that the test has: with ``wilcox`` those that are not zero, as R's ``wilcox.test``, else all.
    W+ − W− is then how many more of the averages lie above 0 than below it, so that the estimate never lies on the
    other side than the rank sums. ``rank_biserial`` is (W+ − W−) / (W+ + W−) (Kerby, Comprehensive Psychology 3, 2014).
    """
    checks = Checks()
    checks.alternative(alternative)
    checks.choice("method", method, SIGNED_METHODS)
    checks.choice("zero_method", zero_method, ZERO_METHODS)
    checks.open_unit("level", level)
    if round_differences is not None:
        checks.number("round_differences", round_differences, low=-400, high=400, is_whole=True)
    data = paired(checks, nan_policy, a=a) if b is None else paired(checks, nan_policy, a=a, b=b)
    known = TestResult(
        test="wilcoxon", method="Wilcoxon signed rank", statistic_name="W+", n=data.n[:1], n_dropped=data.n_dropped,
        estimate_name="Hodges–Lehmann pseudomedian of a − b", alternative=alternative,
    )  # fmt: skip
    reason = data.reason or ("empty" if data.n[0] == 0 else None)
    if reason is not None:
        return dataclasses.replace(known, status="degenerate", reason=reason)
    differences = _differences(data.values, round_differences)
    if differences is None:
        return dataclasses.replace(known, status="degenerate", reason="too_great")
    signed = _signed(differences, zero_method)
    used = len(signed.ranks)
    details = {"w_plus": signed.plus, "w_minus": signed.minus, "n_zero": signed.n_zero, "n_nonzero": used}
    known = dataclasses.replace(known, statistic=signed.plus, details=details)
    if used == 0:
        return dataclasses.replace(known, status="degenerate", reason="no_difference", p_value=1.0, ln_p=0.0)
    kept = differences[differences != 0] if zero_method == "wilcox" else differences
    known = dataclasses.replace(known, effects=(_effect(kept, signed, alternative, level),))
    if len(kept) < len(differences):
        known = dataclasses.replace(known, estimate_name=f"{known.estimate_name}, where they differ")
    is_exact = method in {"exact", "exact_conditional"} or (method == "auto" and used <= EXACT_UP_TO)
    if is_exact and not is_countable_signs(signed.ranks):
        checks.add("method", "the exact distribution of this many differences is too large", method, "asymptotic")
        checks.done()
    tail, details, said = _exact(signed, zero_method, alternative) if is_exact else _normal(
        signed, zero_method, alternative, continuity=continuity)  # fmt: skip
    warnings = (TIES,) if is_exact and (signed.ties or signed.n_zero) else ()
    tested = dataclasses.replace(
        known, p_value=tail.p, ln_p=tail.ln_p, method=said, details={**known.details, **details}, warnings=warnings
    )
    return _with_shift(tested, kept, level, wanted=shift)


def _differences(values: tuple[Real, ...], decimals: int | None) -> Real | None:
    """The differences; None where one is more than a double holds."""
    import numpy as np

    with np.errstate(over="ignore"):
        differences = values[0] - values[1] if len(values) > 1 else values[0]
    if not np.isfinite(differences).all():
        return None
    if decimals is None:
        return differences
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.round(differences, decimals)
    return np.where(np.isfinite(rounded), rounded, differences)


def _signed(differences: Real, zero_method: ZeroMethod) -> Signed:
    import numpy as np

    is_zero = differences == 0
    n_zero = int(is_zero.sum())
    kept = differences[~is_zero]
    if len(kept) == 0:
        return Signed(kept, 0.0, 0.0, 0.0, n_zero)
    of = ranked(np.abs(kept))
    ranks = of.ranks + (0 if zero_method == "wilcox" else n_zero)
    plus, minus = float(ranks[kept > 0].sum()), float(ranks[kept < 0].sum())
    if zero_method == "zsplit":
        half = n_zero * (n_zero + 1) / 4
        plus, minus = plus + half, minus + half
    return Signed(ranks, plus, minus, of.ties, n_zero)


def _effect(differences: Real, signed: Signed, alternative: Alternative, level: float) -> Effect:
    """Rank biserial; its interval by Fisher's z and t, with the variance of a U statistic.

    With s the mean sign of d + every difference, for each difference d, the variance is 4 var(s) / n (Hoeffding, Annals
    of Mathematical Statistics 19, 1948). Where all differences have one sign there is no variance and no interval.
    """
    import numpy as np

    value = (signed.plus - signed.minus) / (signed.plus + signed.minus)
    n = len(differences)
    ordered = np.sort(differences)
    above = n - np.searchsorted(ordered, -ordered, side="right")
    signs = (above - np.searchsorted(ordered, -ordered, side="left")) / n
    error = 2 * float(np.std(signs, ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    if abs(value) == 1 or error == 0:
        return Effect(name="rank_biserial", value=value, reason="zero_variance")
    quantile = -t_quantile((1 - level) / (2 if alternative == "two-sided" else 1), n - 1)
    z, half = math.atanh(value), quantile * error / (1 - value * value)
    low, high = math.tanh(z - half), math.tanh(z + half)
    method = "Fisher z and t, variance of a U statistic (Hoeffding, 1948)"
    return Effect(name="rank_biserial", value=value, interval=Interval.sided(low, high, level, alternative, method))


def _exact(signed: Signed, zero_method: ZeroMethod, alternative: Alternative) -> tuple[Tail, dict[str, float], str]:
    fixed = signed.n_zero * (signed.n_zero + 1) / 4 if zero_method == "zsplit" else 0.0
    tail = signed_rank_null(doubled(signed.ranks)).tail(signed.plus - fixed, alternative)
    return tail, {}, f"Wilcoxon signed rank, exact, conditional on the ranks, zeros: {zero_method}"


def _normal(
    signed: Signed, zero_method: ZeroMethod, alternative: Alternative, *, continuity: bool
) -> tuple[Tail, dict[str, float], str]:
    """The normal approximation, its variance corrected for ties and, of ``pratt`` and ``zsplit``, for zeros.

    Zeros: as scipy.stats.wilcoxon (Cureton, JASA 62, 1967, of ``pratt``).
    """
    zeros = 0 if zero_method == "wilcox" else signed.n_zero
    n = len(signed.ranks) + zeros
    mean, variance = n * (n + 1) / 4, n * (n + 1) * (2 * n + 1) / 24
    if zero_method == "pratt":
        mean -= zeros * (zeros + 1) / 4
        variance -= zeros * (zeros + 1) * (2 * zeros + 1) / 24
    ties = signed.ties + (float(zeros) ** 3 - zeros if zero_method == "zsplit" else 0.0)
    deviation = math.sqrt(variance - ties / 48)
    away = signed.plus - mean
    step = {"two-sided": math.copysign(0.5, away) if away else 0.0, "greater": 0.5, "less": -0.5}[alternative]
    z = (away - (step if continuity else 0.0)) / deviation
    said = f"corrected for ties{', continuity' if continuity else ''}, zeros: {zero_method}"
    details = {"z": z, "deviation_w": deviation}
    return normal_tail(z, alternative), details, f"Wilcoxon signed rank, normal, {said}"


@functools.lru_cache(maxsize=64)
def _untied(n: int) -> Null:
    return signed_rank_null(tuple(range(2, 2 * n + 1, 2)))


def _with_shift(known: TestResult, differences: Real, level: float, *, wanted: bool | None) -> TestResult:
    n = len(differences)
    pairs = n * (n + 1) // 2
    if wanted is False or (wanted is None and pairs > PAIRS_LISTED):
        said = () if wanted is False else ("no Hodges–Lehmann estimate of so many pairs unless asked for (shift=True)",)
        return dataclasses.replace(known, warnings=known.warnings + said)
    outside: Callable[[float], float | None]
    if n <= EXACT_UP_TO:
        outside, said_method = _untied(n).lower_quantile, "order statistics of the averages, exact"
    else:
        outside = normal_place(pairs, math.sqrt(n * (n + 1) * (2 * n + 1) / 24))
        said_method = "order statistics of the averages, normal"
    estimate, interval = shift_with_interval(
        lambda places: average_order(differences, places), pairs, outside,
        alternative=known.alternative, level=level, method=said_method,
    )  # fmt: skip
    return dataclasses.replace(known, estimate=estimate, interval=interval)
