"""What experiments ask: A/B, several arms, ablations and sweeps, each as one family with simultaneous intervals.

Arms that share item ids are compared item by item. Within a family of m comparisons every interval has the level
1 − (1 − level) / m, so that all of them hold at once (Bonferroni), and p values are corrected together. What is shown
is what the intervals show; a correction such as Holm's may reject a little more.

Bonferroni's bound asks nothing of how the comparisons depend on each other or of how large each is. So each pair is
compared on all the items that both arms have, not only on those that every arm has: an arm with few items takes none
from the comparison of two others.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from crucible.bench.comparison import LEVEL, SEED, Arm, Clusters, Compared, compare
from crucible.bench.corrections import CORRECTIONS, Correction
from crucible.bench.estimates import Estimate
from crucible.bench.families import Family, family
from crucible.bench.result import TestResult
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars
from crucible.bench.selections import Shown
from crucible.bench.sentences import BETTER, Better, conclusion, said_p, shown_side
from crucible.bench.several_arms import SeveralArms
from crucible.numerals import percent

ARMS_MIN: Final = 2
ARMS_MAX: Final = 150
"""All pairs of more arms would be more than ten thousand tests."""
PAIR: Final = "{} − {}"
PAIRS_NAMED_MAX: Final = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComparedArms:
    """Several arms compared in pairs."""

    better: Better
    means: Mapping[str, Estimate]
    """Mean of each arm with its own interval, at the level asked for."""
    best: str | None
    """The selected arm, as `crucible.bench.selections.Shown.selected` says: the best mean. That it is best is not shown
    by that. None where no pair of arms can be compared."""
    omnibus: TestResult | None
    """Whether any arm differs: Welch's analysis of variance; of shared items Friedman's test, on those that all have.
    It gates nothing. With clusters there is none: both take items as independent."""
    family: Family
    """The pairs, labelled ``first − second``, with simultaneous intervals."""
    is_paired: bool
    """Whether every pair is compared item by item."""
    not_worse: tuple[str, ...]
    """The selected arm, and those that were compared with it and are not shown to be worse. Where an arm has no
    interval with the selected one, those of both with a third arm, such as the control, imply one; with none there is
    no comparison, and the arm is not among these."""
    conclusions: tuple[str, ...]
    """A sentence for each pair that is shown to differ, then on the pairs that can't be compared, on the selected arm,
    and on items that arms do not share."""
    warnings: tuple[str, ...] = ()


@plain_scalars
def ab_test(
    control: Arm,
    treatment: Arm,
    *,
    better: Better = "higher",
    cluster: Clusters | None = None,
    is_paired: bool | None = None,
    margin: float | None = None,
    level: float = LEVEL,
    seed: int = SEED,
) -> Compared:
    """Treatment minus control: `crucible.bench.comparison.compare` with these names."""
    return compare(
        treatment,
        control,
        better=better,
        names=("treatment", "control"),
        cluster=cluster,
        is_paired=is_paired,
        margin=margin,
        level=level,
        seed=seed,
    )


@plain_scalars
def compare_multiple(
    arms: Mapping[str, Arm],
    *,
    better: Better = "higher",
    control: str | None = None,
    correction: Correction = "holm",
    level: float = LEVEL,
    is_paired: bool | None = None,
    cluster: Clusters | None = None,
) -> ComparedArms:
    """Compare each two arms, or each with ``control``.

    Two arms that are mappings are compared item by item on the items that they share, whatever others have; arms that
    share none, and sequences, by Welch's t test. ``is_paired`` True asks for pairs, of sequences place by place; False
    compares shared items as if they were others, and warns. ``cluster`` is that of `crucible.bench.comparison.compare`,
    for every pair and for the mean of each arm: each item of an arm has one. Raises ``StatisticsError`` for bad input.
    """
    _check(arms, better, control, correction, level)
    pairs = _pairs(list(arms), control)
    return _compared(SeveralArms.of(arms, pairs, is_paired=is_paired, cluster=cluster), better, correction, level)


@plain_scalars
def ablation(
    baseline: Arm,
    without: Mapping[str, Arm],
    *,
    better: Better = "higher",
    correction: Correction = "holm",
    level: float = LEVEL,
    is_paired: bool | None = None,
    cluster: Clusters | None = None,
) -> ComparedArms:
    """What each component is worth: ``baseline`` minus the arm without it, as one family.

    The keys of ``without`` name the components. A component matters where the baseline is shown to be better. Items,
    clusters and errors are those of `compare_multiple`.
    """
    given: object = without
    if not isinstance(given, Mapping):
        checks = Checks()
        checks.add("without", "it is no mapping", without, "a mapping from components to the arms without them")
        checks.done()
    arms = {"baseline": baseline, **{f"without {name}": arm for name, arm in without.items()}}
    _check(arms, better, None, correction, level)
    pairs = [("baseline", name) for name in arms if name != "baseline"]
    return _compared(SeveralArms.of(arms, pairs, is_paired=is_paired, cluster=cluster), better, correction, level)


@plain_scalars
def sweep(
    configurations: Mapping[str, Arm],
    *,
    better: Better = "higher",
    correction: Correction = "holm",
    level: float = LEVEL,
    is_paired: bool | None = None,
    cluster: Clusters | None = None,
) -> ComparedArms:
    """Which configuration is best, and which are not shown to be worse.

    The one with the best mean is selected and its mean is too good to be true by the selection; the intervals hold for
    all pairs at once, so they hold for those of the selected one as well, whichever it is. Items, clusters and errors
    are those of `compare_multiple`.
    """
    return compare_multiple(
        configurations, better=better, correction=correction, level=level, is_paired=is_paired, cluster=cluster
    )


def _compared(arms: SeveralArms, better: Better, correction: Correction, level: float) -> ComparedArms:
    simultaneous = 1 - (1 - level) / len(arms.pairs)
    results = [arms.tested(pair, simultaneous) for pair in arms.pairs]
    labelled = dict(zip(_labels(arms.pairs), results, strict=True))
    found = family(labelled, correction=correction, alpha=1 - level, name="pairs of arms")
    means = {name: arms.mean(name, level) for name in arms.own}
    shown = Shown.of(zip(arms.pairs, results, strict=True), better)
    best = shown.selected({name: each.value for name, each in means.items()}, better)
    warnings = arms.warnings()
    return ComparedArms(
        better=better,
        means=means,
        best=best,
        omnibus=arms.omnibus(),
        family=found,
        is_paired=arms.matched == set(arms.pairs),
        not_worse=shown.not_worse(best, list(arms.own)),
        conclusions=(
            *_differences(arms.pairs, found, better),
            *_unknown(arms.pairs, found, better),
            _selection(best, means, shown, found, better),
            *(f"{said[0].upper()}{said[1:]}." for said in warnings),
        ),
        warnings=warnings,
    )


def _labels(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """A text for each pair, with a number where the names of two make them alike."""
    found: dict[str, None] = {}
    for a, b in pairs:
        label, count = PAIR.format(a, b), 1
        while (text := label if count == 1 else f"{label} ({count})") in found:
            count += 1
        found[text] = None
    return list(found)


def _check(arms: Mapping[str, Arm], better: Better, control: str | None, correction: Correction, level: float) -> None:
    checks = Checks()
    checks.choice("better", better, BETTER)
    checks.choice("correction", correction, CORRECTIONS)
    checks.open_unit("level", level)
    if not isinstance(arms, Mapping) or not ARMS_MIN <= len(arms) <= ARMS_MAX:
        count = len(arms) if isinstance(arms, Mapping) else 0
        checks.add("arms", f"{count} of them", expected=f"a mapping of {ARMS_MIN} to {ARMS_MAX} arms by name")
    elif control is not None and not (isinstance(control, Hashable) and control in list(arms)):
        checks.add("control", "no arm is called so", control, f"one of {', '.join(map(str, arms))}")
    checks.done()


def _pairs(names: Sequence[str], control: str | None) -> list[tuple[str, str]]:
    if control is None:
        return list(itertools.combinations(names, 2))
    return [(name, control) for name in names if name != control]


def _differences(pairs: Sequence[tuple[str, str]], found: Family, better: Better) -> list[str]:
    """A sentence for each pair that is shown to differ, with its corrected p value."""
    said = []
    for pair, member in zip(pairs, found.members, strict=True):
        side = shown_side(member.result) * (1 if better == "higher" else -1)
        if side:
            p = said_p(member.p_adjusted, member.ln_p_adjusted, found.correction, found.n_tests)
            said.append(conclusion(pair, better, member.result, "first" if side > 0 else "second", p=p))
    return said


def _unknown(pairs: Sequence[tuple[str, str]], found: Family, better: Better) -> list[str]:
    """A sentence for each reason why pairs can't be compared."""
    by_reason: dict[str | None, list[int]] = {}
    for place, member in enumerate(found.members):
        if member.result.interval is None:
            by_reason.setdefault(member.result.reason, []).append(place)
    said = []
    for reason, places in by_reason.items():
        if len(places) == 1:
            said.append(conclusion(pairs[places[0]], better, found.members[places[0]].result, "degenerate"))
            continue
        named = ", ".join(found.members[place].label for place in places[:PAIRS_NAMED_MAX])
        more = ", …" if len(places) > PAIRS_NAMED_MAX else ""
        said.append(f"Nothing can be said of {len(places)} pairs: {reason} ({named}{more}).")
    return said


def _selection(best: str | None, means: Mapping[str, Estimate], shown: Shown, found: Family, better: Better) -> str:
    """The sentence on the selected arm, and on the pairs of which nothing is shown."""
    count = len(found.members)
    held = [member for member in found.members if member.result.interval is not None]
    if best is None:
        return "No arm is selected: no pair can be compared."
    undecided = [member for member in held if not shown_side(member.result)]
    parts = [f"{best} has the best mean{_among(best, means, shown, better)}"]
    by_p = sum(member.is_rejected for member in undecided) if found.correction != "none" else 0
    also = f" by their intervals ({by_p} of these by p after {found.correction})" if by_p else ""
    parts.append(f"{len(undecided)} of {count} pairs are not shown to differ{also}")
    if unknown := count - len(held):
        parts.append(f"{unknown} of {count} can't be compared")
    intervals = f"all {len(held)} intervals hold at once" if len(held) > 1 else "the interval holds"
    return "; ".join([*parts, f"{intervals} at {percent(1 - found.alpha)}"]) + "."


def _among(best: str, means: Mapping[str, Estimate], shown: Shown, better: Better) -> str:
    """Among which arms the selected one has the best mean, where another one's is better."""
    sign = 1 if better == "higher" else -1
    known = {name: sign * each.value for name, each in means.items() if each.value is not None}
    before = [name for name in known if known[name] > known[best]]
    if not before:
        return ""
    is_beaten = any(name in shown.at_least for name in before)
    return " of the arms that " + ("are not shown to be worse than another" if is_beaten else "can be compared")
