"""What a design of an experiment says, and how its sizes and effects are searched for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Final

from crucible.bench.result import Alternative, Status
from crucible.bench.samples import Checks

ALPHA: Final = 0.05
POWER: Final = 0.8
N_MAX: Final = 10**11
"""Values of the first group that are looked for: with more, one makes less of the power than its rounding does."""
EFFECT_MAX: Final = 1e9
ALPHA_MIN: Final = 1e-300
"""Below, half of it may be lost."""
GROUPS_MAX: Final = 10_000
RATIO_MAX: Final = 1e6
"""Of one size to the other, and of the other to the one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind of test that designs are made for."""

    test: str
    method: str
    effect_name: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A design: what it detects, with which sizes, how surely."""

    test: str
    method: str
    status: Status = "ok"
    reason: str | None = None
    """``not_reachable``: no size, or no effect, has this power; ``too_many``: a size above `N_MAX` has it."""
    power: float | None = None
    """Probability to reject with these whole sizes and this effect."""
    alpha: float
    effect: float | None
    effect_name: str
    n: tuple[float, ...] = ()
    """Values of each group; of pairs, their number once."""
    n_fractional: float | None = None
    """Of the first group, where the power is just reached; the least possible size where that has more power."""
    alternative: Alternative = "two-sided"
    details: Mapping[str, float] = dataclasses.field(default_factory=dict)


def design(
    kind: Kind,
    effect: float | None,
    alpha: float,
    alternative: Alternative = "two-sided",
    *,
    n: tuple[float, ...] = (),
    power: float | None = None,
) -> Power:
    """A design; without an effect none has the power."""
    return Power(
        test=kind.test,
        method=kind.method,
        status="ok" if effect is not None else "degenerate",
        reason=None if effect is not None else "not_reachable",
        power=power,
        alpha=alpha,
        effect=effect,
        effect_name=kind.effect_name,
        n=n,
        alternative=alternative,
    )


def power_checks(alpha: float, alternative: Alternative, power: float = POWER, **numbers: float) -> Checks:
    """Checks of what all designs have; ``numbers`` are effects."""
    checks = Checks()
    checks.open_unit("alpha", alpha)
    if not checks.problems and alpha < ALPHA_MIN:
        checks.add("alpha", "too small", alpha, f"a number of at least {ALPHA_MIN:g}")
    checks.open_unit("power", power)
    checks.alternative(alternative)
    for name, value in numbers.items():
        checks.number(name, value, low=-EFFECT_MAX, high=EFFECT_MAX)
    return checks


def above_zero(checks: Checks, name: str, value: float, high: float | None = None) -> None:
    """``value`` is a finite number above 0, at most ``high``."""
    before = len(checks.problems)
    checks.number(name, value, high=high)
    if len(checks.problems) == before and value <= 0:
        checks.add(name, "too small", value, "a number above 0")


Sized = tuple[int, float, float]
"""Whole size, fractional size, power of the whole size."""


def smallest_size(
    at: Callable[[float], float], at_whole: Callable[[int], float], power: float, least: float, whole_least: int
) -> Sized | None:
    """The least size of the first group that reaches ``power``; ``at`` grows with the size."""
    low = high = least
    while at(high) < power:
        if high >= N_MAX:
            return None
        low, high = high, min(2 * high, float(N_MAX))
    fractional = least if high == least else root(lambda n: at(n) - power, low, high)
    low_whole, high_whole = whole_least - 1, max(whole_least, math.ceil(fractional))
    while at_whole(high_whole) < power:
        high_whole += 1
    while high_whole - low_whole > 1:
        middle = (low_whole + high_whole) // 2
        low_whole, high_whole = (low_whole, middle) if at_whole(middle) >= power else (middle, high_whole)
    return high_whole, fractional, at_whole(high_whole)


def least_effect(at: Callable[[float], float], power: float, alternative: Alternative) -> tuple[float | None, float]:
    """The least effect with this power, negative for ``less``, and its power; ``at`` grows with its size.

    Effect None: none has it. No effect at all may have more power than that.
    """
    sign = -1.0 if alternative == "less" else 1.0
    by_chance = at(0.0)
    if by_chance >= power:
        return 0.0, by_chance
    high = 0.01
    while at(sign * high) < power:
        high *= 2
        if high > EFFECT_MAX:
            return None, power
    return sign * root(lambda effect: at(sign * effect) - power, 0.0, high), power


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that changes sign between two places is 0."""
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-12 * max(1.0, high), rtol=1e-13))


def sized(known: Power, found: Sized | None, whole: Callable[[int], tuple[int, ...]]) -> Power:
    """The design with the sizes that were found."""
    if found is None:
        effect = known.effect or 0.0
        towards = {"two-sided": abs(effect), "greater": effect, "less": -effect}[known.alternative]
        is_reached = towards > 0  # somewhere: power goes to 1 with the size
        return dataclasses.replace(known, status="degenerate", reason="too_many" if is_reached else "not_reachable")
    n, fractional, power = found
    return dataclasses.replace(known, status="ok", reason=None, power=power, n=whole(n), n_fractional=fractional)
