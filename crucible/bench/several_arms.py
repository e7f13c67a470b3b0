"""Several arms with the pairs of them that are compared: which of these item by item, and each pair's test."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

from crucible.bench.anova import anova_welch
from crucible.bench.comparison import Arm, Clusters, joined, shared_items, values_of
from crucible.bench.descriptions import mean_interval
from crucible.bench.estimates import Estimate
from crucible.bench.evaluation import evaluation_difference, evaluation_interval
from crucible.bench.rank_groups import friedman
from crucible.bench.result import TestResult
from crucible.bench.samples import Checks
from crucible.bench.t_tests import t_paired, t_welch

Own = list[float] | dict[Any, float]
"""Scores of an arm, by item id if it was given so."""
Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class SeveralArms:
    """Arms by name and pairs of them."""

    own: Mapping[str, Own]
    pairs: Sequence[Pair]
    matched: AbstractSet[Pair]
    """Pairs that are compared item by item."""
    cluster: Mapping[Any, Hashable] | list[Hashable] | None

    @classmethod
    def of(
        cls, arms: Mapping[str, Arm], pairs: Sequence[Pair], *, is_paired: bool | None, cluster: Clusters | None
    ) -> SeveralArms:
        """Arms as they were given. Raises ``StatisticsError`` for what are no numbers, no pairs, or no clusters."""
        checks = Checks()
        own = {name: _scores(checks, name, arm) for name, arm in arms.items()}
        checks.done()
        matched = _matched(checks, own, pairs, is_paired=is_paired)
        labels = _labels(checks, cluster)
        if labels is not None:
            _check_clusters(checks, own, labels, is_paired=matched == set(pairs))
        checks.done()
        return cls(own, pairs, matched, labels)

    def tested(self, pair: Pair, level: float) -> TestResult:
        """The test of first − second, as `crucible.bench.comparison.compare` makes it."""
        a, b = (self.own[name] for name in pair)
        if pair not in self.matched:
            return t_welch(values_of(a), values_of(b), level=level, assumptions=False)
        first, second, groups, _ = joined(a, b, self.cluster)
        if groups is None:
            return t_paired(first, second, level=level)
        return evaluation_difference(first, second, cluster=groups, level=level)

    def mean(self, name: str, level: float) -> Estimate:
        """The mean of all scores of an arm; with clusters, by them."""
        arm = self.own[name]
        if self.cluster is None:
            return mean_interval(values_of(arm), level=level)
        labels = [self.cluster[item] for item in arm] if isinstance(self.cluster, Mapping) else self.cluster
        found = evaluation_interval(values_of(arm), cluster=labels, level=level)
        return Estimate(
            name="mean",
            method=found.method,
            value=found.estimate,
            standard_error=found.standard_error,
            interval=found.interval,
            n=(found.n,),
            n_dropped=(found.n_dropped,),
            status=found.status,
            reason=found.reason,
            warnings=found.warnings,
        )

    def omnibus(self) -> TestResult | None:
        """Whether any arm differs; None with clusters, which neither test knows."""
        if self.cluster is not None:
            return None
        if not self.matched:
            return anova_welch([values_of(arm) for arm in self.own.values()])
        return friedman(_blocks(list(self.own.values())))

    def warnings(self) -> tuple[str, ...]:
        """What of the items a reader should know."""
        said = []
        counts = {pair: len(shared_items(*(self.own[name] for name in pair)) or ()) for pair in self.pairs}
        items = {pair: shared for pair, shared in counts.items() if pair in self.matched and shared}
        lost = [pair for pair, shared in items.items() if any(len(self.own[name]) > shared for name in pair)]
        if lost:
            sizes = ", ".join(f"{name} {len(arm)}" for name, arm in self.own.items())
            least, most = min(items.values()), max(items.values())
            on = f"{least}" if least == most else f"{least} to {most}"
            said.append(
                f"the arms have different items ({sizes}): each pair is compared on those that both have, {on}; the "
                "mean of an arm is over all of its own"
            )
        if self.matched and (alone := len(self.pairs) - len(self.matched)):
            said.append(f"{alone} of {len(self.pairs)} pairs share no items and are compared by Welch's t test")
        if apart := sum(shared > 0 for pair, shared in counts.items() if pair not in self.matched):
            said.append(f"{apart} of {len(self.pairs)} pairs share items: paired, their intervals are narrower")
        return tuple(said)


def _scores(checks: Checks, name: str, arm: Arm) -> Own:
    values = checks.array(f"arms[{name!r}]", values_of(arm)).tolist()
    return dict(zip(arm, values, strict=True)) if isinstance(arm, Mapping) and len(arm) == len(values) else values


def _matched(checks: Checks, own: Mapping[str, Own], pairs: Sequence[Pair], *, is_paired: bool | None) -> set[Pair]:
    """Pairs that are compared item by item; where that is asked for, a pair that can't be is a problem."""
    if is_paired is False:
        return set()
    if not is_paired:
        return {(a, b) for a, b in pairs if shared_items(own[a], own[b])}
    for a, b in pairs:
        by_item = [isinstance(own[name], dict) for name in (a, b)]
        if all(by_item) and not shared_items(own[a], own[b]):
            checks.add(f"arms {a} and {b}", "no item is in all of them", expected="mappings that share items")
        elif any(by_item) != all(by_item) or (not any(by_item) and len(own[a]) != len(own[b])):
            checks.add(f"arms {a} and {b}", "these are no pairs", expected="all by item id, or all of one length")
    return set(pairs)


def _labels(checks: Checks, cluster: Clusters | None) -> Mapping[Any, Hashable] | list[Hashable] | None:
    """Clusters that can be read for one pair after the other."""
    given: object = cluster
    if given is not None and (isinstance(given, str | bytes) or not isinstance(given, Iterable)):
        checks.add("cluster", "these are no labels", given, "a mapping from item id to cluster, or a sequence")
        return None
    return cluster if cluster is None or isinstance(cluster, Mapping) else list(cluster)


def _check_clusters(
    checks: Checks, own: Mapping[str, Own], cluster: Mapping[Any, Hashable] | list[Hashable], *, is_paired: bool
) -> None:
    if not is_paired:
        checks.add("cluster", "only paired arms have clusters of items", expected="None, or mappings that share items")
    elif isinstance(cluster, Mapping):
        items = dict.fromkeys(itertools.chain.from_iterable(arm for arm in own.values() if isinstance(arm, dict)))
        if lost := sum(cluster.get(item) is None for item in items):
            checks.add("cluster", f"{lost} of {len(items)} items are in none", expected="every item in one")


def _blocks(arms: Sequence[Own]) -> list[list[float]]:
    """One row for each item that all arms have."""
    first, *others = arms
    if isinstance(first, dict):
        items = [item for item in first if all(isinstance(arm, dict) and item in arm for arm in others)]
        return [[cast("dict[Any, float]", arm)[item] for arm in arms] for item in items]
    if len({len(arm) for arm in arms}) > 1 or any(isinstance(arm, dict) for arm in arms):
        return []
    return [list(row) for row in zip(*cast("Sequence[list[float]]", arms), strict=True)]
