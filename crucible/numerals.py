"""How values are written: never a small one as zero, and what is no number as what it is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

NOT_MEASURED = "–"
DIGITS = 4
"""Significant digits where nothing says how exact a value is."""
WHOLE_FROM = 1e4
"""From here on, whole numbers are written rather than powers of ten."""
WHOLE_TO = 1e15
DECIMALS_MAX = 8
"""What needs more decimals is written with significant digits."""
DIGITS_MAX = 15
LEVEL_WIDTH_MAX = 6
"""Characters of a confidence level in percent that are written as they are."""


def written(value: Any, decimals: int | None = None) -> str:  # noqa: PLR0911  a return for each kind of value
    """``value`` as it stands in every format; ``decimals`` as its column has them.

    A value of which that would leave less than two significant digits gets two.
    """
    if value is None:
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return _signed(_finite(value, decimals))


def written_p(p: float | None, ln_p: float | None = None) -> str:
    """A p value with three significant digits; one that no double holds by its logarithm: ``2.17e-552``."""
    if p is None:
        return NOT_MEASURED
    if p > 0 or ln_p is None or not math.isfinite(ln_p):
        return _signed(f"{p:.3g}")
    return by_logarithm(ln_p)


def by_logarithm(ln_p: float, digits: int = 3) -> str:
    """The decimal of a number that its natural logarithm gives, which no double may hold: ``2.17e-552``."""
    power, share = divmod(ln_p / math.log(10), 1)
    mantissa = f"{10**share:.{digits}g}"
    return f"1e{int(power) + 1}" if mantissa == "10" else f"{mantissa}e{int(power)}"


def decimals_of(halves: Iterable[float | None]) -> int | None:
    """Decimals at which the smaller half-widths of a column's intervals show two digits; None without intervals."""
    known = sorted(half for half in halves if half is not None and math.isfinite(half) and half > 0)
    if not known:
        return None
    typical = known[len(known) // 2]
    return max(0, 1 - math.floor(math.log10(typical)))


def percent(level: float) -> str:
    """A confidence level in percent; a long one with three significant digits of what lacks to 100."""
    text = f"{level * 100:.10g}"
    lacking = 100 - level * 100
    if lacking > 0 and (len(text) > LEVEL_WIDTH_MAX or text == "100"):
        text = f"{level * 100:.{max(0, 2 - math.floor(math.log10(lacking)))}f}"
    return f"{text} %"


def _finite(value: float, decimals: int | None) -> str:
    if value == 0:
        return f"{0:.{decimals if decimals is not None and decimals <= DECIMALS_MAX else 0}f}"
    if decimals is not None and abs(value) < WHOLE_TO:
        if abs(value) < 10.0 ** (1 - decimals):
            return f"{value:.2g}"
        if decimals <= DECIMALS_MAX:
            return f"{value:.{decimals}f}"
        return f"{value:.{min(DIGITS_MAX, math.floor(math.log10(abs(value))) + 1 + decimals)}g}"
    if WHOLE_FROM <= abs(value) < WHOLE_TO:
        return f"{value:.0f}"
    return f"{value:.{DIGITS}g}"


def _signed(text: str) -> str:
    """With a minus sign, and powers of ten without leading zeros: ``3e-5``."""
    head, e, power = text.partition("e")
    text = f"{head}e{int(power)}" if e else text
    return text.replace("-", "−", 1) if text.startswith("-") else text
