"""What experiments ask: A/B, several arms, ablations and sweeps, each as one family with simultaneous intervals.

Arms that share item ids are compared item by item. Within a family of m comparisons every interval has the level
1 − (1 − level) / m, so that all of them hold at once (Bonferroni), and p values are corrected together.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Final, cast

from crucible.bench.anova import anova_welch
from crucible.bench.comparison import (
    LEVEL,
    SEED,
    Arm,
    Better,
    Compared,
    Scores,
    compare,
    conclusion,
    shown_side,
)
from crucible.bench.corrections import CORRECTIONS, Correction
from crucible.bench.descriptions import mean_interval
from crucible.bench.estimates import Estimate
from crucible.bench.families import Family, family
from crucible.bench.rank_groups import friedman
from crucible.bench.result import TestResult
from crucible.bench.samples import Checks, Values
from crucible.bench.t_tests import t_paired, t_welch
from crucible.numerals import percent

ARMS_MIN: Final = 2
ARMS_MAX: Final = 150
"""All pairs of more arms would be more than ten thousand tests."""
PAIR: Final = "{} − {}"
SELECTION: Final = "best mean; ties go to the arm that was named first"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComparedArms:
    """Several arms compared in pairs."""

    better: Better
    means: Mapping[str, Estimate]
    """Mean of each arm with its own interval, at the level asked for."""
    best: str
    """Arm that was selected, by `SELECTION`; that it is best is not shown by that."""
    omnibus: TestResult
    """Whether any arm differs: Welch's analysis of variance, of shared items Friedman's test. It gates nothing."""
    family: Family
    """The pairs, labelled ``first − second``, with simultaneous intervals."""
    is_paired: bool
    not_worse: tuple[str, ...]
    """Arms that are not shown to be worse than the selected one, itself included."""
    conclusions: tuple[str, ...]
    """A sentence for each pair that is shown to differ, then one on the selected arm."""


def ab_test(
    control: Arm,
    treatment: Arm,
    *,
    better: Better = "higher",
    margin: float | None = None,
    level: float = LEVEL,
    seed: int = SEED,
) -> Compared:
    """Treatment minus control: `crucible.bench.comparison.compare` with these names."""
    names = ("treatment", "control")
    return compare(treatment, control, better=better, names=names, margin=margin, level=level, seed=seed)


def compare_multiple(
    arms: Mapping[str, Arm],
    *,
    better: Better = "higher",
    control: str | None = None,
    correction: Correction = "holm",
    level: float = LEVEL,
    is_paired: bool | None = None,
) -> ComparedArms:
    """Compare each two arms, or each with ``control``.

    Arms are paired if all are mappings that share items: then the items that every arm has are compared. Independent
    arms are compared by Welch's t test. Raises ``StatisticsError`` for bad input.
    """
    _check(arms, better, control, correction, level)
    pairs = _pairs(list(arms), control)
    return _compared(arms, pairs, better=better, correction=correction, level=level, is_paired=is_paired)


def ablation(
    baseline: Arm,
    without: Mapping[str, Arm],
    *,
    better: Better = "higher",
    correction: Correction = "holm",
    level: float = LEVEL,
) -> ComparedArms:
    """What each component is worth: ``baseline`` minus the arm without it, as one family.

    The keys of ``without`` name the components. A component matters where the baseline is shown to be better.
    """
    arms = {"baseline": baseline, **{f"without {name}": arm for name, arm in without.items()}}
    _check(arms, better, None, correction, level)
    pairs = [("baseline", name) for name in arms if name != "baseline"]
    return _compared(arms, pairs, better=better, correction=correction, level=level)


def sweep(
    configurations: Mapping[str, Arm],
    *,
    better: Better = "higher",
    correction: Correction = "holm",
    level: float = LEVEL,
) -> ComparedArms:
    """Which configuration is best, and which are not shown to be worse.

    The one with the best mean is selected and its mean is too good to be true by the selection; the intervals hold for
    all pairs at once, so they hold for those of the selected one as well, whichever it is.
    """
    return compare_multiple(configurations, better=better, correction=correction, level=level)


def _compared(
    arms: Mapping[str, Arm],
    pairs: Sequence[tuple[str, str]],
    *,
    better: Better,
    correction: Correction,
    level: float,
    is_paired: bool | None = None,
) -> ComparedArms:
    own, items = _arms(arms, is_paired=is_paired)
    simultaneous = 1 - (1 - level) / len(pairs)
    test = functools.partial(t_welch, assumptions=False) if items is None else t_paired
    results = {PAIR.format(a, b): test(own[a], own[b], level=simultaneous) for a, b in pairs}
    found = family(results, correction=correction, alpha=1 - level, name="pairs of arms")
    omnibus = anova_welch(own.values()) if items is None else _friedman(own)
    means = {name: mean_interval(values, level=level) for name, values in own.items()}
    best = _best(means, better)
    return ComparedArms(
        better=better,
        means=means,
        best=best,
        omnibus=omnibus,
        family=found,
        is_paired=items is not None,
        not_worse=_not_worse(best, pairs, found, better, list(arms)),
        conclusions=_sentences(pairs, found, better, best, level),
    )


def _friedman(own: Mapping[str, Sequence[float]]) -> TestResult:
    return friedman([list(block) for block in zip(*own.values(), strict=True)])


def _check(arms: Mapping[str, Arm], better: Better, control: str | None, correction: Correction, level: float) -> None:
    checks = Checks()
    checks.choice("better", better, ("higher", "lower"))
    checks.choice("correction", correction, CORRECTIONS)
    checks.open_unit("level", level)
    if not isinstance(arms, Mapping) or not ARMS_MIN <= len(arms) <= ARMS_MAX:
        count = len(arms) if isinstance(arms, Mapping) else 0
        checks.add("arms", f"{count} of them", expected=f"a mapping of {ARMS_MIN} to {ARMS_MAX} arms by name")
    elif control is not None and control not in arms:
        checks.add("control", "no arm is called so", control, f"one of {', '.join(arms)}")
    checks.done()


def _arms(arms: Mapping[str, Arm], *, is_paired: bool | None) -> tuple[dict[str, list[float]], list[object] | None]:
    """The values of each arm; of paired arms those of the items that all share, and these items."""
    checks = Checks()
    by_item = [arm for arm in arms.values() if isinstance(arm, Mapping)]
    shared: list[object] | None = None
    if len(by_item) == len(arms) and is_paired is not False:
        first, *others = by_item
        shared = [item for item in first if all(item in other for other in others)]
        if not shared and is_paired:
            checks.add("arms", "no item is in all of them", expected="mappings that share items")
        shared = shared or None
    elif is_paired:
        lengths = {len(list(cast("Values", arm))) for arm in arms.values() if not isinstance(arm, Mapping)}
        if by_item or len(lengths) != 1:
            checks.add("arms", "these are no pairs", expected="all by item id, or all of one length")
        shared = list(range(lengths.pop())) if len(lengths) == 1 else None
    values = {
        name: [arm[item] for item in shared]
        if shared is not None and isinstance(arm, Mapping)
        else _sequence(checks, name, arm)
        for name, arm in arms.items()
    }
    checks.done()
    return values, shared


def _sequence(checks: Checks, name: str, arm: Arm) -> list[float]:
    given = list(cast("Scores", arm).values()) if isinstance(arm, Mapping) else cast("Values", arm)
    return [float(value) for value in checks.array(f"arms[{name!r}]", given)]


def _pairs(names: Sequence[str], control: str | None) -> list[tuple[str, str]]:
    if control is None:
        return list(itertools.combinations(names, 2))
    return [(name, control) for name in names if name != control]


def _best(means: Mapping[str, Estimate], better: Better) -> str:
    known = {name: each.value for name, each in means.items() if each.value is not None}
    if not known:
        return next(iter(means))
    return max(known, key=lambda name: known[name] if better == "higher" else -known[name])


def _not_worse(
    best: str, pairs: Sequence[tuple[str, str]], found: Family, better: Better, names: Sequence[str]
) -> tuple[str, ...]:
    worse = set()
    for (a, b), member in zip(pairs, found.members, strict=True):
        side = shown_side(member.result) * (1 if better == "higher" else -1)
        if (a == best and side > 0) or (b == best and side < 0):
            worse.add(b if a == best else a)
    return tuple(name for name in names if name not in worse)


def _sentences(
    pairs: Sequence[tuple[str, str]], found: Family, better: Better, best: str, level: float
) -> tuple[str, ...]:
    said = []
    for pair, member in zip(pairs, found.members, strict=True):
        side = shown_side(member.result) * (1 if better == "higher" else -1)
        if side:
            said.append(conclusion(pair, better, member.result, "first" if side > 0 else "second"))
    count = len(pairs)
    undecided = count - len(said)
    held = f"all {count} intervals hold at once at {percent(level)}"
    said.append(f"{best} has the best mean; {undecided} of {count} pairs are not shown to differ; {held}.")
    return tuple(said)
