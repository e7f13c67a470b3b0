"""The declared tests of an analysis: computed, corrected within their families, each with its sentence.

Within a family of m tests every interval has the level 1 − alpha / m, so that all of them hold at once (Bonferroni);
m counts every test that was asked for, whether it can be made or not, and is thus known before the data. A family
without correction has intervals at 1 − alpha.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from crucible.bench.families import Member, family
from crucible.bench.recording import recorded, to_record
from crucible.bench.result import TestResult
from crucible.definition.asked_test import OMNIBUS_TESTS, AskedTest
from crucible.finished_runs import DeclaredMetric, FinishedRun
from crucible.records.recorded_results import DeclaredTest
from crucible.statistics.arms import Arms, Groups
from crucible.statistics.conclusions import sentence

GROUPS_IN_ALL_PAIRS_MAX: Final = 20
"""Of more groups each is compared with the first one, unless the test names another."""
LABEL: Final = "{} − {}"
OMNIBUS_LABEL: Final = "{} groups of {}"

Items = Callable[[str], Mapping[str, Mapping[str, float]]]
"""Scores of the items of a metric, by item id, for each run."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Open:
    """A test before it is made: its groups, two or all."""

    asked: AskedTest
    metric: DeclaredMetric
    arms: Arms

    @property
    def label(self) -> str:
        if self.asked.test in OMNIBUS_TESTS:
            return OMNIBUS_LABEL.format(len(self.arms.groups), self.asked.of)
        return LABEL.format(*self.arms.groups)


def run_tests(
    tests: Sequence[AskedTest],
    metrics: Mapping[str, DeclaredMetric],
    runs: Sequence[FinishedRun],
    items: Items,
    *,
    seed: int,
) -> list[DeclaredTest]:
    """Every test of every family. ``tests`` are resolved and without faults; ``seed`` is that of what is drawn."""
    families: dict[str, list[_Open]] = {}
    scores: dict[str, Mapping[str, Mapping[str, float]]] = {}
    for asked in tests:
        if asked.pair in {"item", "item_and_repeat"} and asked.metric not in scores:
            scores[asked.metric] = items(asked.metric)
        groups = Groups(asked, runs, scores.get(asked.metric, {}))
        opened = [_Open(asked, metrics[asked.metric], groups.arms(chosen)) for chosen in _compared(asked, groups.names)]
        families.setdefault(asked.family, []).extend(opened)
    return [found for opened in families.values() for found in _made(opened, seed)]


def _compared(asked: AskedTest, names: Sequence[str]) -> Iterable[Sequence[str]]:
    if asked.test in OMNIBUS_TESTS:
        return [names]
    if asked.against is None and len(names) <= GROUPS_IN_ALL_PAIRS_MAX:
        return list(itertools.combinations(names, 2))
    chosen = names[0] if asked.against is None else str(asked.against)
    return [(name, chosen) for name in names if name != chosen]


def _made(opened: Sequence[_Open], seed: int) -> Iterator[DeclaredTest]:
    """The tests of one family."""
    head = opened[0].asked
    share = 1 if head.correction == "none" else len(opened)
    level = 1 - head.alpha / share
    results = [_result(each, level, seed) for each in opened]
    members = family(
        {str(place): result for place, result in enumerate(results)},
        correction=head.correction,
        alpha=head.alpha,
        name=head.family,
    )
    for each, member in zip(opened, members.members, strict=True):
        yield _declared(each, member, members.n_tests)


def _declared(each: _Open, member: Member, count: int) -> DeclaredTest:
    asked = each.asked
    is_pair = asked.test not in OMNIBUS_TESTS
    return {
        "label": each.label,
        "asked_json": asked.canonical_json(),
        "metric": asked.metric,
        "better": each.metric.better,
        "by": asked.of,
        "pairing": asked.pair or "none",
        "group_a": each.arms.groups[0] if is_pair else None,
        "group_b": each.arms.groups[1] if is_pair else None,
        "family": asked.family,
        "correction": asked.correction,
        "alpha": asked.alpha,
        "family_tests": count,
        "p_adjusted": member.p_adjusted,
        "ln_p_adjusted": member.ln_p_adjusted,
        "is_rejected": member.is_rejected,
        "conclusion": sentence(asked, each.arms.groups, each.metric.better, member, count),
        "result": to_record(member.result),
    }


def _result(each: _Open, level: float, seed: int) -> TestResult:
    asked, arms = each.asked, each.arms
    made = _TESTS[cast("str", asked.test)](arms, asked, level, seed)
    names = [f"group_{place}" for place in range(len(arms.values))] if asked.test in OMNIBUS_TESTS else ["a", "b"]
    found = recorded(made, **dict(zip(names, arms.values, strict=True)))
    return dataclasses.replace(found, warnings=(*arms.warnings, *found.warnings))


_Made = Callable[[Arms, AskedTest, float, int], TestResult]


def _of_two(name: str, *, has_level: bool = True, has_seed: bool = False, **fixed: Any) -> _Made:
    """A test of `crucible.bench` that takes two samples."""

    def made(arms: Arms, asked: AskedTest, level: float, seed: int) -> TestResult:
        from crucible import bench

        chosen = {"level": level} if has_level else {}
        drawn = {"seed": seed} if has_seed else {}
        return cast(
            "TestResult", getattr(bench, name)(*arms.values, alternative=asked.alternative, **chosen, **drawn, **fixed)
        )

    return made


def _of_groups(name: str) -> _Made:
    """A test of `crucible.bench` that takes any number of samples."""

    def made(arms: Arms, asked: AskedTest, level: float, seed: int) -> TestResult:
        from crucible import bench

        _ = asked, level, seed
        return cast("TestResult", getattr(bench, name)(arms.values))

    return made


def _friedman(arms: Arms, asked: AskedTest, level: float, seed: int) -> TestResult:
    from crucible.bench import friedman

    _ = asked, level, seed
    return friedman([list(block) for block in zip(*arms.values, strict=True)])


def _tost(arms: Arms, asked: AskedTest, level: float, seed: int) -> TestResult:
    from crucible.bench import tost

    _ = seed
    margin = cast("float", asked.margin)
    return tost(
        *arms.values, low=-margin, high=margin, design="welch" if asked.pair == "none" else "paired", level=level
    )


def _mcnemar(arms: Arms, asked: AskedTest, level: float, seed: int) -> TestResult:
    """Of values that are 0 or 1; averages over several repeats or cells are neither."""
    from crucible.bench import mcnemar

    _ = seed
    a, b = arms.values
    if not {*a, *b} <= {0.0, 1.0}:
        return TestResult(
            test="mcnemar",
            method="McNemar, exact",
            status="degenerate",
            reason="not_binary",
            n=(len(a),),
            alternative=asked.alternative,
            null=1.0,
        )
    pairs = list(zip(a, b, strict=True))
    table = [[pairs.count((x, y)) for y in (1.0, 0.0)] for x in (1.0, 0.0)]
    return mcnemar(table, alternative=asked.alternative, level=level)


def _anytime(arms: Arms, asked: AskedTest, level: float, seed: int) -> TestResult:
    from crucible.bench import compare_running

    _ = asked, seed
    return compare_running(*arms.values, level=level).primary


def _evaluation(arms: Arms, asked: AskedTest, level: float, seed: int) -> TestResult:
    from crucible.bench import evaluation_difference

    _ = seed
    units = cast("list[tuple[str, int]]", arms.units)
    return evaluation_difference(
        *arms.values,
        question=[item for item, _ in units],
        seed=[repeat for _, repeat in units],
        alternative=asked.alternative,
        level=level,
    )


_TESTS: Final[Mapping[str, _Made]] = {
    "t_paired": _of_two("t_paired"),
    "wilcoxon": _of_two("wilcoxon"),
    "permutation_paired": _of_two("permutation_paired", has_level=False, has_seed=True),
    "mcnemar": _mcnemar,
    "anytime_paired": _anytime,
    "evaluation_difference": _evaluation,
    "tost": _tost,
    "t_welch": _of_two("t_welch"),
    "t_student": _of_two("t_student"),
    "t_yuen": _of_two("t_yuen"),
    "mannwhitney": _of_two("mannwhitney"),
    "brunner_munzel": _of_two("brunner_munzel"),
    "permutation_independent": _of_two("permutation_independent", has_level=False, has_seed=True),
    "anova_oneway": _of_groups("anova_oneway"),
    "anova_welch": _of_groups("anova_welch"),
    "kruskal": _of_groups("kruskal"),
    "friedman": _friedman,
}
