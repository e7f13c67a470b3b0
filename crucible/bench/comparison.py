"""Two arms compared: one test that was chosen by the design and never by the data, what others say, and a sentence.

Arms that share items are paired: give each as a mapping from item id to score. Nothing looks at normality or variances
to choose a test (Welch's and the paired t test stand up to both); the rank and permutation tests beside it show whether
the answer hangs on the choice. No power is computed from what was observed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final, cast

from crucible.bench.anytime import AsymptoticMean, folded
from crucible.bench.distributions import t_tail
from crucible.bench.equivalence import tost
from crucible.bench.evaluation import evaluation_difference
from crucible.bench.permutation import permutation_independent, permutation_paired
from crucible.bench.ranks import mannwhitney
from crucible.bench.result import TestResult
from crucible.bench.samples import Checks, Values, paired
from crucible.bench.scalars import plain_scalars
from crucible.bench.sentences import BETTER, Better, Verdict, conclusion, shown_side
from crucible.bench.signed_ranks import wilcoxon
from crucible.bench.t_tests import t_paired, t_welch

Scores = Mapping[Any, float]
"""Scores by item id."""
Arm = Values | Scores
Clusters = Mapping[Any, Hashable] | Iterable[Hashable]
"""Cluster by item id; of arms that are sequences, the cluster of each place."""
LEVEL: Final = 0.95
SEED: Final = 0
"""Of the permutation test beside, where it draws."""
RUNNING: Final = (
    "asymptotic confidence sequence of paired differences (Waudby-Smith et al., Annals of Statistics 52, 2024)"
)
LOOKS_FIRST: Final = 200
"""Pairs before which an interval that may be looked at any time says nothing."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two arms and what is known of their difference, first minus second."""

    names: tuple[str, str]
    better: Better
    primary: TestResult
    """The test that decides."""
    beside: tuple[TestResult, ...] = ()
    """Other tests of the same question; they decide nothing."""
    equivalence: TestResult | None = None
    """Whether the difference lies within the margin, where one was given."""
    verdict: Verdict
    """Which arm is better, if that is shown at the level; ``equivalent`` within the margin."""
    conclusion: str
    """Direction, size and certainty in a sentence."""
    warnings: tuple[str, ...] = ()


@plain_scalars
def compare(
    a: Arm,
    b: Arm,
    *,
    better: Better = "higher",
    names: tuple[str, str] = ("a", "b"),
    cluster: Clusters | None = None,
    is_paired: bool | None = None,
    margin: float | None = None,
    level: float = LEVEL,
    seed: int = SEED,
) -> Compared:
    """Compare two arms, two-sided.

    Mappings that share item ids are compared item by item (``compare_paired``); sequences, by Welch's t test, with the
    Mann-Whitney and the permutation test beside it. ``is_paired`` False compares shared items as if they were others,
    and warns. ``margin`` is the smallest difference that matters, in the unit of the scores: then equivalence is tested
    as well. Raises ``StatisticsError`` for bad input.
    """
    checks = _checks(better, names, margin, level)
    shared = shared_items(a, b)
    if is_paired is None:
        is_paired = shared is not None and bool(shared)
    if is_paired:
        return compare_paired(a, b, better=better, names=names, cluster=cluster, margin=margin, level=level, seed=seed)
    if cluster is not None:
        checks.add("cluster", "only paired arms have clusters of items", expected="None, or mappings that share items")
    checks.done()
    first, second = values_of(a), values_of(b)
    warnings = () if not shared else (f"{len(shared)} items are in both arms: paired, the interval is narrower",)
    primary = t_welch(first, second, level=level)
    beside = (
        mannwhitney(first, second, method="asymptotic", level=level, shift=False),
        permutation_independent(first, second, seed=seed),
    )
    equal = None if margin is None else tost(first, second, low=-margin, high=margin, level=level, assumptions=False)
    return _concluded(names, better, primary, beside=beside, equal=equal, margin=margin, warnings=warnings)


@plain_scalars
def compare_paired(
    a: Arm,
    b: Arm,
    *,
    better: Better = "higher",
    names: tuple[str, str] = ("a", "b"),
    cluster: Clusters | None = None,
    margin: float | None = None,
    level: float = LEVEL,
    seed: int = SEED,
) -> Compared:
    """Compare two arms on the same items, two-sided: the paired t test, or by clusters of items (Miller 2024).

    Mappings are joined by item id, and what only one has is left out and said; sequences are joined place by place.
    Beside it stand the Wilcoxon and the sign-flip test of the differences; both take each item as independent, so with
    clusters there are none. Raises ``StatisticsError`` for bad input, with code ``length_mismatch`` for sequences of
    different lengths.
    """
    checks = _checks(better, names, margin, level)
    checks.done()
    first, second, groups, warnings = joined(a, b, cluster)
    if groups is None:
        primary = t_paired(first, second, level=level)
        beside: tuple[TestResult, ...] = (
            wilcoxon(first, second, level=level, shift=False),
            permutation_paired(first, second, seed=seed),
        )
        equal = (
            None
            if margin is None
            else tost(first, second, low=-margin, high=margin, design="paired", level=level, assumptions=False)
        )
    else:
        primary = evaluation_difference(first, second, cluster=groups, level=level)
        beside, equal = (), None if margin is None else _clustered_tost(first, second, groups, margin, level)
    return _concluded(names, better, primary, beside=beside, equal=equal, margin=margin, warnings=warnings)


@plain_scalars
def compare_running(
    a: Arm,
    b: Arm,
    *,
    better: Better = "higher",
    names: tuple[str, str] = ("a", "b"),
    level: float = LEVEL,
    tightest_at: int = 1000,
    first: int = LOOKS_FIRST,
) -> Compared:
    """Compare arms that are still being measured, on the pairs so far: looking again costs nothing.

    The interval holds for all looks at once (`crucible.bench.anytime.AsymptoticMean`), so that one may stop whenever it
    leaves 0; it is wider than that of a test that is made once, and says nothing before ``first`` pairs.
    Pairs are taken in the order of the first arm. Raises ``StatisticsError`` for bad input.
    """
    checks = _checks(better, names, None, level)
    checks.done()
    one, two, _, warnings = joined(a, b, None)
    data = paired(Checks(), "propagate", a=one, b=two)
    gaps = [x - y for x, y in zip(*(each.tolist() for each in data.values), strict=True)]
    state = AsymptoticMean.start(tightest_at=tightest_at, first=first, alpha=1 - level)
    if data.reason is not None or not all(map(math.isfinite, gaps)):
        known = TestResult(test="anytime_paired", method=RUNNING, estimate_name="mean difference", n=data.n[:1])
        primary = dataclasses.replace(known, status="degenerate", reason=data.reason or "too_great")
        return _concluded(names, better, primary, warnings=warnings)
    state = folded(state, gaps)
    interval = state.interval(level)
    has_said = interval is not None
    primary = TestResult(
        test="anytime_paired",
        method=RUNNING,
        status="ok" if has_said else "degenerate",
        reason=None if has_said else "n_too_small" if state.n < first else "zero_variance",
        estimate=float(state.mean) if state.n else None,
        estimate_name="mean difference",
        statistic=state.ln_e if has_said else None,
        statistic_name="ln e",
        p_value=state.p_value if has_said else None,
        ln_p=float(state.ln_p) if has_said else None,
        interval=interval,
        n=(state.n,),
        warnings=("valid at every look; asymptotic in the number of pairs",),
    )
    return _concluded(names, better, primary, warnings=warnings)


def _checks(better: Better, names: tuple[str, str], margin: float | None, level: float) -> Checks:
    checks = Checks()
    checks.choice("better", better, BETTER)
    checks.open_unit("level", level)
    if not isinstance(names, tuple | list) or [type(each) for each in names] != [str, str] or names[0] == names[1]:
        checks.add("names", "the arms need two different names", names, "two texts")
    if margin is not None:
        _check_margin(checks, margin, level)
    return checks


def _check_margin(checks: Checks, margin: float, level: float) -> None:
    """Both as they were given: the tests of equivalence derive bounds and levels of their own from them."""
    known = len(checks.problems)
    checks.number("margin", margin, low=0)
    if len(checks.problems) == known and margin == 0:
        checks.add("margin", "too small", margin, "a number above 0")
    if isinstance(level, int | float) and 0 < level <= 0.5:  # noqa: PLR2004
        checks.add("level", "too small", level, "more than one half: with a margin there is an interval of 2 level − 1")


def shared_items(a: Arm, b: Arm) -> list[Any] | None:
    """Items of both, in the order of the first; None where they are no mappings."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return [item for item in a if item in b]
    return None


def values_of(arm: Arm) -> Values:
    """Scores of an arm, without its items."""
    return list(arm.values()) if isinstance(arm, Mapping) else arm


def joined(
    a: Arm, b: Arm, cluster: Clusters | None
) -> tuple[list[float], list[float], list[Hashable] | None, tuple[str, ...]]:
    """Both arms pair by pair, the cluster of each pair, and what was left out.

    Raises ``StatisticsError`` where only one arm is by item id, or clusters are given otherwise than the arms.
    """
    checks = Checks()
    shared = shared_items(a, b)
    if shared is None:
        if isinstance(a, Mapping) or isinstance(b, Mapping):
            checks.add("a and b", "one is by item id, the other is not", expected="two mappings, or two sequences")
            checks.done()
        if isinstance(cluster, Mapping):
            checks.add("cluster", "the arms have no item ids to look up", expected="a sequence as long as the arms")
        elif cluster is not None and (isinstance(cluster, str | bytes) or not isinstance(cluster, Iterable)):
            checks.add("cluster", "these are no labels", cluster, "a sequence as long as the arms")
        checks.done()
        first, second = (checks.array(name, cast("Values", arm)).tolist() for name, arm in (("a", a), ("b", b)))
        checks.done()
        return first, second, None if cluster is None else list(cluster), ()
    one, two = cast("Scores", a), cast("Scores", b)
    groups: list[Hashable] | None = None
    if isinstance(cluster, Mapping):
        groups = [cluster.get(item) for item in shared]
        if lost := sum(group is None for group in groups):
            checks.add("cluster", f"{lost} of {len(shared)} shared items are in none", expected="every item in one")
    elif cluster is not None:
        checks.add("cluster", "the arms are by item id", expected="a mapping from item id to cluster")
    checks.done()
    left_out = len(one.keys() | two.keys()) - len(shared)
    said = (f"{left_out} items are not in both arms and were left out",) if left_out else ()
    return [one[item] for item in shared], [two[item] for item in shared], groups, said


def _clustered_tost(
    first: list[float], second: list[float], groups: list[Hashable], margin: float, level: float
) -> TestResult:
    """Equivalence by clusters: two one-sided t tests with the clustered standard error (Schuirmann 1987; Miller 2024).

    As `crucible.bench.equivalence.tost`: p is the greater one of both, and at most 1 − level if and only if the
    interval of level 1 − 2 (1 − level) lies within the margin.
    """
    found = evaluation_difference(first, second, cluster=groups, level=2 * level - 1)
    known = dataclasses.replace(found, test="tost", method=f"two one-sided t tests: {found.method}")
    if found.status == "degenerate" or found.estimate is None or found.standard_error is None:
        return dataclasses.replace(known, p_value=None, ln_p=None, statistic=None, interval=None)
    t_lower = (found.estimate + margin) / found.standard_error
    t_upper = (found.estimate - margin) / found.standard_error
    above, below = t_tail(t_lower, found.df[0], "greater"), t_tail(t_upper, found.df[0], "less")
    is_above = above.ln_p >= below.ln_p
    tail = above if is_above else below
    ends = {"low": -margin, "high": margin, "t_lower": t_lower, "t_upper": t_upper}
    tails = {"p_lower": above.p, "p_upper": below.p, "ln_p_lower": above.ln_p, "ln_p_upper": below.ln_p}
    return dataclasses.replace(
        known,
        statistic=t_lower if is_above else t_upper,
        p_value=tail.p,
        ln_p=tail.ln_p,
        null=-margin if is_above else margin,
        details={**found.details, **ends, **tails},
    )


def _concluded(
    names: tuple[str, str],
    better: Better,
    primary: TestResult,
    *,
    beside: tuple[TestResult, ...] = (),
    equal: TestResult | None = None,
    margin: float | None = None,
    warnings: tuple[str, ...] = (),
) -> Compared:
    verdict = _verdict(better, primary, equal)
    return Compared(
        names=names,
        better=better,
        primary=primary,
        beside=beside,
        equivalence=equal,
        verdict=verdict,
        conclusion=conclusion(names, better, primary, verdict, equivalence=equal, margin=margin),
        warnings=(*warnings, *primary.warnings),
    )


def _verdict(better: Better, primary: TestResult, equal: TestResult | None) -> Verdict:
    if equal is not None and _is_equivalent(equal):
        return "equivalent"
    if primary.status == "degenerate" or primary.interval is None:
        return "degenerate"
    side = shown_side(primary)
    if side == 0:
        return "undecided"
    return "first" if (side > 0) == (better == "higher") else "second"


def _is_equivalent(equal: TestResult) -> bool:
    ends = equal.interval
    return equal.p_value is not None and ends is not None and equal.p_value <= (1 - ends.level) / 2
