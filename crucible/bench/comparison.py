"""Two arms compared: one test that was chosen by the design and never by the data, what others say, and a sentence.

Arms that share items are paired: give each as a mapping from item id to score. Nothing looks at normality or variances
to choose a test (Welch's and the paired t test stand up to both); the rank and permutation tests beside it show whether
the answer hangs on the choice. No power is computed from what was observed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final, Literal, cast, get_args

from crucible.bench.anytime import AsymptoticMean, folded
from crucible.bench.equivalence import tost
from crucible.bench.evaluation import evaluation_difference
from crucible.bench.permutation import permutation_independent, permutation_paired
from crucible.bench.ranks import mannwhitney
from crucible.bench.result import TestResult
from crucible.bench.samples import Checks, Values
from crucible.bench.signed_ranks import wilcoxon
from crucible.bench.t_tests import t_paired, t_welch
from crucible.numerals import percent, written, written_p

Better = Literal["higher", "lower"]
BETTER: Final[tuple[Better, ...]] = get_args(Better)
Scores = Mapping[Any, float]
"""Scores by item id."""
Arm = Values | Scores
Verdict = Literal["first", "second", "equivalent", "undecided", "degenerate"]
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


def compare(
    a: Arm,
    b: Arm,
    *,
    better: Better = "higher",
    names: tuple[str, str] = ("a", "b"),
    cluster: Mapping[Any, Hashable] | Iterable[Hashable] | None = None,
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
    shared = _shared(a, b)
    if is_paired is None:
        is_paired = shared is not None and bool(shared)
    if is_paired:
        return compare_paired(a, b, better=better, names=names, cluster=cluster, margin=margin, level=level, seed=seed)
    if cluster is not None:
        checks.add("cluster", "only paired arms have clusters of items", expected="None, or mappings that share items")
    checks.done()
    first, second = _values(a), _values(b)
    warnings = () if not shared else (f"{len(shared)} items are in both arms: paired, the interval is narrower",)
    primary = t_welch(first, second, level=level)
    beside = (
        mannwhitney(first, second, method="asymptotic", level=level, shift=False),
        permutation_independent(first, second, seed=seed),
    )
    equal = None if margin is None else tost(first, second, low=-margin, high=margin, level=level, assumptions=False)
    return _concluded(names, better, primary, beside=beside, equal=equal, margin=margin, warnings=warnings)


def compare_paired(
    a: Arm,
    b: Arm,
    *,
    better: Better = "higher",
    names: tuple[str, str] = ("a", "b"),
    cluster: Mapping[Any, Hashable] | Iterable[Hashable] | None = None,
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
    first, second, groups, warnings = _joined(a, b, cluster)
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
    one, two, _, warnings = _joined(a, b, None)
    state = folded(
        AsymptoticMean.start(tightest_at=tightest_at, first=first, alpha=1 - level),
        [x - y for x, y in zip(one, two, strict=True)],
    )
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
    if len(names) != 2 or len(set(names)) != 2:  # noqa: PLR2004  two arms
        checks.add("names", "the arms need two different names", names)
    if margin is not None:
        checks.number("margin", margin, low=0)
    return checks


def _shared(a: Arm, b: Arm) -> list[Any] | None:
    """Items of both, in the order of the first; None where they are no mappings."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return [item for item in a if item in b]
    return None


def _values(arm: Arm) -> Values:
    return list(arm.values()) if isinstance(arm, Mapping) else arm


def _joined(
    a: Arm, b: Arm, cluster: Mapping[Any, Hashable] | Iterable[Hashable] | None
) -> tuple[list[float], list[float], list[Hashable] | None, tuple[str, ...]]:
    """Both arms pair by pair, the cluster of each pair, and what was left out."""
    checks = Checks()
    shared = _shared(a, b)
    if shared is None:
        if isinstance(a, Mapping) or isinstance(b, Mapping):
            checks.add("a and b", "one is by item id, the other is not", expected="two mappings, or two sequences")
            checks.done()
        if isinstance(cluster, Mapping):
            checks.add("cluster", "the arms have no item ids to look up", expected="a sequence as long as the arms")
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
    """Equivalence by clusters: the interval of level 1 − 2 (1 − level) lies within the margin (Schuirmann 1987)."""
    found = evaluation_difference(first, second, cluster=groups, level=2 * level - 1)
    ends = found.interval
    is_within = ends is not None and -margin < cast("float", ends.low) <= cast("float", ends.high) < margin
    return dataclasses.replace(
        found,
        test="tost",
        method=f"two one-sided tests by the interval: {found.method}",
        null=margin,
        p_value=None,
        ln_p=None,
        details={**found.details, "is_equivalent": float(is_within)},
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
        conclusion=conclusion(names, better, primary, verdict, margin),
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
    if "is_equivalent" in equal.details:
        return bool(equal.details["is_equivalent"])
    ends = equal.interval
    return equal.p_value is not None and ends is not None and equal.p_value <= (1 - ends.level) / 2


def shown_side(result: TestResult) -> int:
    """1: the difference is shown to be above 0, −1: below; 0: neither, at the level of its interval."""
    if result.interval is None:
        return 0
    low, high = result.interval.low, result.interval.high
    return 1 if low is not None and low > 0 else -1 if high is not None and high < 0 else 0


def conclusion(
    names: tuple[str, str], better: Better, result: TestResult, verdict: Verdict, margin: float | None = None
) -> str:
    """Direction, size and certainty in a sentence."""
    first, second = names
    if verdict == "degenerate":
        at = "" if result.estimate is None else f"; the difference {first} − {second} is {written(result.estimate)}"
        return f"Nothing can be said of {first} and {second}: {result.reason}{at}."
    said = _certainty(result)
    size = written(abs(cast("float", result.estimate)))
    if verdict == "equivalent":
        both = f"the difference {first} − {second} is {written(result.estimate)} ({said})"
        return f"{first} and {second} are equivalent within {written(margin)}: {both}."
    if verdict == "undecided":
        return f"{first} is not shown to differ from {second}: {_compatible(names, better, result)} ({said})."
    winner, loser = (first, second) if verdict == "first" else (second, first)
    word = "higher" if better == "higher" else "lower"
    return f"{winner} is better than {loser}: {size} {word} ({said})."


def _certainty(result: TestResult) -> str:
    ends = result.interval
    parts = []
    if ends is not None:
        low = "−∞" if ends.low is None else written(ends.low)
        high = "∞" if ends.high is None else written(ends.high)
        parts.append(f"{percent(ends.level)} interval of the difference {low} to {high}")
    if result.p_value is not None:
        parts.append(f"p = {written_p(result.p_value, result.ln_p)}")
    return "; ".join([*parts, f"n = {' + '.join(map(str, result.n))}", result.test])


def _compatible(names: tuple[str, str], better: Better, result: TestResult) -> str:
    """What the interval leaves open, from the side of the first arm."""
    first, _ = names
    ends = result.interval
    assert ends is not None
    assert ends.low is not None
    assert ends.high is not None
    up, down = (ends.high, -ends.low) if better == "higher" else (-ends.low, ends.high)
    if not (math.isfinite(up) and math.isfinite(down)):
        return f"the difference may be of any size, it is {written(result.estimate)} here"
    return f"{first} may be better by up to {written(up)} or worse by up to {written(down)}"
