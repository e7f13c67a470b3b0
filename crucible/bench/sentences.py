"""What a comparison of two arms says, in one sentence: direction, size and certainty.

Where one arm is better, size and interval are those of the difference that the sentence states: "lower by 2 (95 %
interval 1 to 3)" says how far the winner is below the other. Elsewhere they are of the first arm minus the second, and
the sentence names them so.
"""

from __future__ import annotations

import math
from typing import Final, Literal, cast, get_args

from crucible.bench.corrections import Correction
from crucible.bench.result import Interval, TestResult
from crucible.numerals import percent, written, written_p

Better = Literal["higher", "lower"]
BETTER: Final[tuple[Better, ...]] = get_args(Better)
Verdict = Literal["first", "second", "equivalent", "undecided", "degenerate"]
_DIFFER: Final = {"two-sided": "differ from", "less": "be lower than", "greater": "be higher than"}


def shown_side(result: TestResult) -> int:
    """1: the difference is shown to be above 0, −1: below; 0: neither, at the level of its interval."""
    if result.interval is None:
        return 0
    low, high = result.interval.low, result.interval.high
    return 1 if low is not None and low > 0 else -1 if high is not None and high < 0 else 0


def said_p(p: float | None, ln_p: float | None, correction: Correction, count: int) -> str:
    """A p value of a family in which ``count`` tests have one, with the name of the correction that was made."""
    if count == 1:
        return f"p = {written_p(p, ln_p)}"
    made = "not corrected" if correction == "none" else f"after {correction} over {count} tests"
    return f"p = {written_p(p, ln_p)} {made}"


def conclusion(
    names: tuple[str, str],
    better: Better,
    result: TestResult,
    verdict: Verdict,
    *,
    equivalence: TestResult | None = None,
    margin: float | None = None,
    p: str | None = None,
) -> str:
    """Direction, size and certainty in a sentence.

    ``result`` is the test that decides; where the verdict is ``equivalent``, ``equivalence`` is, within ``margin``.
    ``p`` is written in place of the p value of ``result``: that of its family.
    """
    first, second = names
    if verdict == "degenerate":
        at = "" if result.estimate is None else f"; the difference {first} − {second} is {written(result.estimate)}"
        return f"Nothing can be said of {first} and {second}: {result.reason}{at}."
    if verdict == "equivalent" and equivalence is not None:
        return _equivalent(names, equivalence, margin)
    p = f"p = {written_p(result.p_value, result.ln_p)}" if p is None and result.p_value is not None else p
    if verdict == "undecided":
        said = _certainty(result, p, f" of the difference {first} − {second}")
        differ = _DIFFER[result.alternative]
        return f"{first} is not shown to {differ} {second}: {_compatible(names, better, result)} ({said})."
    winner, loser = (first, second) if verdict == "first" else (second, first)
    sign = 1 if (verdict == "first") == (better == "higher") else -1
    size = written(sign * cast("float", result.estimate))
    return f"{winner} is better than {loser}: {better} by {size} ({_certainty(result, p, sign=sign)})."


def _equivalent(names: tuple[str, str], tost: TestResult, margin: float | None) -> str:
    """The evidence of equivalence is that of the two one-sided tests: their p, and the interval that belongs to it."""
    first, second = names
    p = f"p = {written_p(tost.p_value, tost.ln_p)} of two one-sided tests"
    said = f"the difference {first} − {second} is {written(tost.estimate)} ({_certainty(tost, p)})"
    return f"{first} and {second} are equivalent within {written(margin)}: {said}."


def _certainty(result: TestResult, p: str | None, of: str = "", *, sign: int = 1) -> str:
    """Interval, p value, sizes and test; with ``sign`` −1 the interval of second minus first."""
    parts = []
    if result.interval is not None:
        low, high = _ends(result.interval, sign)
        parts.append(f"{percent(result.interval.level)} interval{of} {written(low)} to {written(high)}")
    if p is not None:
        parts.append(p)
    return "; ".join([*parts, f"n = {' + '.join(map(str, result.n))}", result.test])


def _ends(interval: Interval, sign: int) -> tuple[float, float]:
    """Both ends, an open one infinite; with ``sign`` −1 those of the difference the other way round."""
    low = -math.inf if interval.low is None else float(interval.low)
    high = math.inf if interval.high is None else float(interval.high)
    return (low, high) if sign > 0 else (-high, -low)


def _compatible(names: tuple[str, str], better: Better, result: TestResult) -> str:
    """What the interval leaves open, from the side of the first arm."""
    assert result.interval is not None
    low, up = _ends(result.interval, 1 if better == "higher" else -1)
    down = -low
    if not (math.isfinite(up) or math.isfinite(down)):
        return f"the difference may be of any size, it is {written(result.estimate)} here"
    most, worst = (f"up to {written(end)}" if math.isfinite(end) else "any amount" for end in (up, down))
    return f"{names[0]} may be better by {most} or worse by {worst}"
