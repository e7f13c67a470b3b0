"""How many questions an evaluation needs, and which difference it can show."""

from __future__ import annotations

import dataclasses
import math
from typing import Final

from crucible.bench.distributions import normal_quantile, normal_tail
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars

SIZE_MAX: Final = 1e60
"""Of what goes into a design, and one over it the least that is no zero."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPower:
    """Four numbers of which three give the fourth."""

    n: float
    """Questions; not rounded where it was asked for."""
    delta: float
    """True difference of the two models; the smallest that is found with ``power`` where it was asked for."""
    power: float
    alpha: float
    variance: float
    """Of one question's paired difference: ω² + σ²(a) / K(a) + σ²(b) / K(b), times the design effect."""
    is_two_sided: bool

    @property
    def n_whole(self) -> int:
        """Questions, rounded up."""
        return math.ceil(self.n * (1 - 1e-12))


@plain_scalars
def evaluation_power(
    *,
    omega2: float,
    sigma2_a: float = 0.0,
    sigma2_b: float = 0.0,
    k_a: int = 1,
    k_b: int = 1,
    n: float | None = None,
    delta: float | None = None,
    power: float | None = None,
    alpha: float = 0.05,
    design_effect: float = 1.0,
    is_two_sided: bool = True,
) -> EvaluationPower:
    """The one of ``n``, ``delta`` and ``power`` that is not given, of a paired comparison of two models.

    n = (z(α/2) + z(β))² (ω² + σ²(a) / K(a) + σ²(b) / K(b)) / δ² (Miller, arXiv 2411.00640).

    ``omega2`` is the variance of the expected difference between questions, ``sigma2_a`` and ``sigma2_b`` the mean
    variance of one answer to a question, ``k_a`` and ``k_b`` the answers that are averaged: `variance_split` and the
    details of `evaluation_difference` estimate them. ``design_effect`` is that of clustered questions. The normal
    distribution is taken throughout, and of a two-sided test only the tail of ``delta``: with few questions the number
    is too small. Raises ``StatisticsError`` unless two of the three are given, and for values out of range.
    """
    checks = Checks()
    for name, value, low in (
        ("omega2", omega2, 0.0),
        ("sigma2_a", sigma2_a, 0.0),
        ("sigma2_b", sigma2_b, 0.0),
        ("k_a", k_a, 1.0),
        ("k_b", k_b, 1.0),
        ("design_effect", design_effect, 0.0),
        ("n", 1 if n is None else n, 0.0),
        ("delta", 1 if delta is None else delta, None),
    ):
        checks.number(name, value, low=low, high=SIZE_MAX, is_whole=name in {"k_a", "k_b"})
    checks.open_unit("alpha", alpha)
    if power is not None:
        checks.open_unit("power", power)
    given = [name for name, value in (("n", n), ("delta", delta), ("power", power)) if value is not None]
    if len(given) != 2:  # noqa: PLR2004
        checks.add("n, delta, power", f"{len(given)} are given", given, "two of the three: the third is computed")
    for name, size in (("n", n), ("delta", delta)):
        if size is not None and not checks.problems and abs(size) < 1 / SIZE_MAX:
            checks.add(name, "it is zero, or too small", size, "a number that is not zero")
    checks.done()
    variance = (omega2 + sigma2_a / k_a + sigma2_b / k_b) * design_effect
    if variance <= 0:
        checks.add("omega2", "there is no variance", omega2, "a positive sum of variances")
        checks.done()
    return _solved(n, delta, power, alpha=alpha, variance=variance, is_two_sided=is_two_sided)


def _solved(
    n: float | None, delta: float | None, power: float | None, *, alpha: float, variance: float, is_two_sided: bool
) -> EvaluationPower:
    z_alpha = -normal_quantile(alpha / 2 if is_two_sided else alpha)
    spread = math.sqrt(variance)
    if n is None:
        assert delta is not None
        assert power is not None
        n = ((z_alpha + normal_quantile(power)) * spread / delta) ** 2
    elif delta is None:
        assert power is not None
        delta = (z_alpha + normal_quantile(power)) * spread / math.sqrt(n)
    else:
        power = normal_tail(z_alpha - abs(delta) * math.sqrt(n) / spread, "greater").p
    assert power is not None
    return EvaluationPower(n=n, delta=delta, power=power, alpha=alpha, variance=variance, is_two_sided=is_two_sided)
