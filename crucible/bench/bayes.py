"""Bayes factors: how much more likely the data are under an effect than without one, as a number and its logarithm."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from crucible.bench.designs import above_zero
from crucible.bench.distributions import beta_tail
from crucible.bench.result import ALTERNATIVES, Alternative, Status
from crucible.bench.samples import Checks, NanPolicy, Values
from crucible.bench.scalars import plain_scalar, plain_scalars
from crucible.bench.t_tests import t_one_sample, t_paired, t_student

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

SCALE: Final = math.sqrt(0.5)
"""Of the Cauchy prior: half of the effects are expected to be smaller."""
SCALE_MIN: Final = 1e-100
SCALE_MAX: Final = 1e100
T_MAX: Final = 1e130
"""Beyond these a double does not hold what is summed."""
JZS: Final = "JZS Bayes factor, Cauchy prior of the standardized effect (Rouder et al., Psychonomic Bulletin 16, 2009)"
BINOMIAL: Final = "Bayes factor of a binomial proportion, beta prior (Jeffreys 1961)"
STEP: Final = 0.05
LEFT: Final = -7.0
"""ln g below which the prior of g is nothing."""
RIGHT: Final = 45.0
"""Above its peak the integrand falls as 1 / g."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BayesFactor:
    """A Bayes factor of an effect over none."""

    test: str
    method: str
    status: Status = "ok"
    reason: str | None = None
    bf10: float | None = None
    """Above 1 the data speak for an effect; infinite where no double holds it."""
    ln_bf10: float | None = None
    statistic: float | None = None
    """t, or the number of successes."""
    n: tuple[int, ...] = ()
    alternative: Alternative = "two-sided"
    """One-sided: the prior lies on that side only."""
    scale: float | None = None


@plain_scalars
def bayes_factor_t(
    a: Values,
    b: Values | None = None,
    *,
    paired: bool = False,
    null: float = 0.0,
    scale: float = SCALE,
    alternative: Alternative = "two-sided",
    nan_policy: NanPolicy = "propagate",
) -> BayesFactor:
    """JZS Bayes factor of a t test: of one sample, of pairs, or of two samples that share one variance."""
    checks = _checks(alternative, scale)
    if paired and b is None:
        checks.add("b", "missing", expected="the other side of the pairs")
    checks.done()
    if b is None:
        result = t_one_sample(a, null=null, nan_policy=nan_policy, assumptions=False)
    else:
        test = t_paired if paired else t_student
        result = test(a, b, null=null, nan_policy=nan_policy, assumptions=False)
    known = BayesFactor(test="bayes_factor_t", method=JZS, n=result.n, alternative=alternative, scale=scale)
    if result.status == "degenerate" or result.statistic is None:
        return dataclasses.replace(known, status="degenerate", reason=result.reason, statistic=result.statistic)
    if abs(result.statistic) > T_MAX:
        return dataclasses.replace(known, status="degenerate", reason="too_great", statistic=result.statistic)
    return bayes_factor_of_t(result.statistic, *result.n, scale=scale, alternative=alternative)


@plain_scalars
def bayes_factor_of_t(
    t: float, n: int, n_b: int | None = None, *, scale: float = SCALE, alternative: Alternative = "two-sided"
) -> BayesFactor:
    """JZS Bayes factor from Student's t of ``n`` pairs or values, or of two samples of ``n`` and ``n_b`` values."""
    checks = _checks(alternative, scale)
    checks.number("t", t, low=-T_MAX, high=T_MAX)
    checks.number("n", n, low=1 if n_b is not None else 2, is_whole=True)
    if n_b is not None:
        checks.number("n_b", n_b, low=1, is_whole=True)
    if not checks.problems and n_b is not None and n + n_b <= 2:  # noqa: PLR2004
        checks.add("n", "too small", n, "more than two values in all")
    checks.done()
    size, df = (float(n), n - 1.0) if n_b is None else (n / (n + n_b) * n_b, n + n_b - 2.0)
    ln_bf10 = _ln_jzs(t, size, df, scale, alternative)
    return BayesFactor(
        test="bayes_factor_t",
        method=JZS,
        bf10=_exp(ln_bf10),
        ln_bf10=ln_bf10,
        statistic=t,
        n=(n,) if n_b is None else (n, n_b),
        alternative=alternative,
        scale=scale,
    )


def _ln_jzs(t: float, size: float, df: float, scale: float, alternative: Alternative) -> float:
    """The integral over g, whose inverse gamma makes the normal prior of variance g scale² a Cauchy, over u = ln g.

    One-sided, what lies on the other side of 0 is left out: given S and g the effect is normal, so that its side has
    the probability of a t with df + 1 degrees, and the prior has twice its density.
    """
    import numpy as np
    from scipy.special import logsumexp, stdtr

    unit = size * scale * scale
    square = t * t
    right = RIGHT + max(0.0, math.log1p(square / unit), -math.log(unit))
    u = np.arange(LEFT, right, STEP)
    spread = np.exp(u) * unit  # of t beyond its own, by the prior
    terms = -0.5 * np.log1p(spread) - 0.5 * math.log(2 * math.pi) - u / 2 - np.exp(-u) / 2
    terms += (df + 1) / 2 * np.log1p(square / df * spread / (1 + spread + square / df))
    if alternative != "two-sided":
        signed = t if alternative == "greater" else -t
        rest = df + square / (1 + spread)
        side = signed * np.sqrt(spread / (1 + spread) * (df + 1) / rest)
        with np.errstate(divide="ignore"):
            terms += np.log(2 * stdtr(df + 1, side))
    return float(logsumexp(terms)) + math.log(STEP)


@plain_scalars
def bayes_factor_binomial(
    successes: int,
    n: int,
    *,
    null: float = 0.5,
    prior: tuple[float, float] = (1.0, 1.0),
    alternative: Alternative = "two-sided",
) -> BayesFactor:
    """Bayes factor of a proportion that has a beta ``prior`` over one that is ``null``, between 0 and 1.

    ``greater`` cuts the prior to proportions above ``null``.
    """
    from scipy.special import betaln

    checks = Checks()
    checks.choice("alternative", alternative, ALTERNATIVES)
    checks.open_unit("null", null)
    checks.number("n", n, low=0, is_whole=True)
    checks.number("successes", successes, low=0, is_whole=True)
    pair = _beta(checks, prior)
    if not checks.problems and successes > n:
        checks.add("successes", "too many", successes, f"at most n, {n}")
    checks.done()
    a, b = pair
    after = a + successes, b + n - successes
    ln_bf10 = float(betaln(*after) - betaln(a, b)) - successes * math.log(null) - (n - successes) * math.log1p(-null)
    if alternative != "two-sided":
        ln_bf10 += _ln_side(null, *after, alternative) - _ln_side(null, a, b, alternative)
    return BayesFactor(
        test="bayes_factor_binomial",
        method=BINOMIAL,
        bf10=_exp(ln_bf10),
        ln_bf10=ln_bf10,
        statistic=float(successes),
        n=(n,),
        alternative=alternative,
    )


def _beta(checks: Checks, prior: Any) -> tuple[float, float]:
    """Both parameters of a beta distribution."""
    given = prior if isinstance(prior, Iterable) and not isinstance(prior, str | bytes | Mapping) else ()
    found = [plain_scalar(each) for each in given]
    if len(found) != 2:  # noqa: PLR2004
        checks.add("prior", "these are no two numbers", prior, "two numbers above 0")
        return 1.0, 1.0
    for place, value in enumerate(found):
        above_zero(checks, f"prior[{place}]", value)
    return found[0], found[1]


def _ln_side(x: float, a: float, b: float, alternative: Alternative) -> float:
    """Logarithm of the probability of a beta on the side of ``x`` that the alternative means."""
    if alternative == "less":
        return beta_tail(x, 1 - x, a, b).ln_p
    return beta_tail(1 - x, x, b, a).ln_p


def _checks(alternative: Alternative, scale: float) -> Checks:
    checks = Checks()
    checks.alternative(alternative)
    checks.number("scale", scale, low=SCALE_MIN, high=SCALE_MAX)
    return checks


def _exp(logarithm: float) -> float:
    try:
        return math.exp(logarithm)
    except OverflowError:
        return math.inf
