"""What a declared test says, in one sentence: direction, size and certainty after the correction of its family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crucible.bench.families import Member
from crucible.bench.result import TestResult
from crucible.definition.asked_test import OMNIBUS_TESTS, AskedTest
from crucible.numerals import percent, written, written_p
from crucible.statistics.scales import SCALES

GROUPS_NAMED_MAX: Final = 8
_LESS: Final = {"two-sided": "differ from", "less": "be lower than", "greater": "be higher than"}
UNITS: Final = {"repeat": "repeats", "item": "items", "item_and_repeat": "items and repeats", "none": "repeats"}


def sentence(asked: AskedTest, groups: Sequence[str], better: str | None, member: Member, count: int) -> str:
    """The conclusion of a test; ``count`` tests of its family have a p value."""
    result = member.result
    certainty = _certainty(asked, groups, member, count)
    if asked.test in OMNIBUS_TESTS:
        return _of_all(asked, groups, member, certainty)
    first, second = groups
    if result.status != "ok":
        return f"Nothing can be said of {first} and {second}: {result.reason}{_known(asked, result, first, second)}."
    known = _known(asked, result, first, second)
    if asked.test == "tost":
        is_shown = "are equivalent" if member.is_rejected else "are not shown to be equivalent"
        said = f"{is_shown} within {written(asked.margin)} of {asked.metric}"
        return f"{first} and {second} {said}{known} ({certainty})."
    side = _side(asked, result) if member.is_rejected else 0
    if not side:
        return f"{first} is not shown to {_LESS[asked.alternative]} {second} by {asked.metric}{known} ({certainty})."
    return _of_two(asked, (first, second), better, side, (member, count))


def _of_two(asked: AskedTest, groups: tuple[str, str], better: str | None, side: int, found: tuple[Member, int]) -> str:
    """Of a difference that is shown: ``side`` says which group is above."""
    (first, second), (member, count) = groups, found
    result = member.result
    known = _known(asked, result, first, second)
    higher, lower = (first, second) if side > 0 else (second, first)
    if _side_of_estimate(result) == -side:
        certainty = _certainty(asked, groups, member, count)
        return f"{asked.test} and the estimate of {first} and {second} point different ways{known} ({certainty})."
    certainty = _certainty(asked, groups, member, count, sign=side)
    size = ""
    if result.estimate and result.test not in SCALES:
        size = f" by {written(abs(result.estimate))}{_of_which(asked, result)}"
    if better is None:
        return f"{higher} has a higher {asked.metric} than {lower}{size} ({certainty})."
    winner, loser = (higher, lower) if better == "higher" else (lower, higher)
    return f"{winner} is better than {loser}: its {asked.metric} is {better}{size} ({certainty})."


def _of_all(asked: AskedTest, groups: Sequence[str], member: Member, certainty: str) -> str:
    named = ", ".join(groups[:GROUPS_NAMED_MAX]) + (", …" if len(groups) > GROUPS_NAMED_MAX else "")
    if member.result.status != "ok":
        return f"Nothing can be said of {named}: {member.result.reason}."
    says = "differ" if member.is_rejected else "are not shown to differ"
    return f"The {len(groups)} groups {named} {says} by {asked.metric} ({certainty})."


def _side(asked: AskedTest, result: TestResult) -> int:
    """Which group the test puts above: 1 the first, −1 the second, 0 not told."""
    if asked.alternative != "two-sided":
        return 1 if asked.alternative == "greater" else -1
    tails = [result.details.get(name) for name in ("p_less", "p_greater")]
    if tails[0] is not None and tails[1] is not None:
        return (tails[1] < tails[0]) - (tails[1] > tails[0])
    effect = next((effect.value for effect in result.effects if effect.value is not None), 0.0)
    return _side_of_estimate(result) or (effect > 0) - (effect < 0)


def _side_of_estimate(result: TestResult) -> int:
    if result.estimate is None:
        return 0
    return (result.estimate > result.null) - (result.estimate < result.null)


def _known(asked: AskedTest, result: TestResult, first: str, second: str) -> str:
    if result.test in SCALES or result.estimate is None:
        return ""
    return f"; the difference {first} − {second} is {written(result.estimate)}{_of_which(asked, result)}"


def _of_which(asked: AskedTest, result: TestResult) -> str:
    """Where an estimate is of some pairs alone: Wilcoxon's leaves out those that do not differ."""
    if result.test != "wilcoxon" or not result.details.get("n_zero"):
        return ""
    return f" among the {result.details['n_nonzero']:.0f} {UNITS[asked.pair or 'none']} that differ"


def _certainty(asked: AskedTest, groups: Sequence[str], member: Member, count: int, sign: int = 1) -> str:
    """Interval, corrected p value, size of the sample, name of the test; with ``sign`` −1 of second minus first."""
    result, parts = member.result, []
    if result.interval is not None and result.test in SCALES:
        first, second = groups
        parts.append(SCALES[result.test].said(result, first, second, is_turned=sign < 0))
    elif result.interval is not None:
        low, high = result.interval.low, result.interval.high
        if sign < 0:
            low, high = (None if end is None else -end for end in (high, low))
        ends = f"{'−∞' if low is None else written(low)} to {'∞' if high is None else written(high)}"
        parts.append(f"{percent(result.interval.level)} interval {ends}")
    if member.p_adjusted is not None:
        corrected = "" if asked.correction == "none" or count == 1 else f" after {asked.correction} over {count} tests"
        parts.append(f"p = {written_p(member.p_adjusted, member.ln_p_adjusted)}{corrected}")
    parts.append(f"n = {' + '.join(map(str, result.n))} {UNITS[asked.pair or 'none']}")
    return "; ".join([*parts, str(asked.test)])
