"""What `crucible.bench` costs beside the bare library call, in one process by turns.

``python -m benchmarks.statistics`` times tests of two arms of a million values, the BCa bootstrap of 10,000 values with
10,000 resamples, a permutation test, and 10,000 pairwise comparisons, each beside SciPy's own. The median of the turns
counts. Exits 6 when one takes more than 1.3 times as long. ``import crucible`` is timed in fresh processes.

Like stands beside like: SciPy is asked for the interval wherever ours has one, and its bootstrap draws in the batches
in which it is fastest here. Ours does more in places: effect sizes with their intervals (t tests and ranks), logarithms
of p values, a look for NaN, Holm's correction. Pairs are asked for one by one on both sides, as `crucible.bench`
answers each with a result of its own. SciPy can test all pairs along an axis by one call, which gives no effect sizes:
its time is shown as well, and nothing is compared with it.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from crucible import bench

RATIO_MAX = 1.3
IMPORT_MS_MAX = 150.0
VALUES = 1_000_000
BOOTSTRAP = 10_000
PAIRS = 10_000
MISSED = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Race:
    """Ours and theirs for the same question."""

    title: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    same: Callable[[Any, Any], bool]
    """Whether both gave the same answer: a race between different questions says nothing."""


def races(rng: np.random.Generator) -> list[Race]:
    """Every race, on samples from one generator."""
    a, b = rng.normal(size=VALUES), rng.normal(0.001, 1.1, size=VALUES)
    paired = a + rng.normal(0.001, 0.5, size=VALUES)
    small = rng.exponential(size=BOOTSTRAP)
    arms = [rng.normal(size=20) for _ in range(142)]
    pairs = [(i, j) for i in range(142) for j in range(i)][:PAIRS]
    left, right = rng.normal(size=200), rng.normal(0.2, 1.0, size=200)

    def near(ours: Any, theirs: Any) -> bool:
        return bool(np.isclose(ours.p_value, theirs.pvalue, rtol=1e-9))

    def scipy_bootstrap() -> Any:
        return stats.bootstrap((small,), np.mean, n_resamples=BOOTSTRAP, method="BCa", batch=100, rng=1)

    def scipy_permutation() -> Any:
        def difference(x: Any, y: Any, axis: int) -> Any:
            return np.mean(x, axis=axis) - np.mean(y, axis=axis)

        return stats.permutation_test((left, right), difference, n_resamples=BOOTSTRAP, vectorized=True, rng=1)

    return [
        Race(
            "Welch", lambda: bench.t_welch(a, b), lambda: _with_interval(stats.ttest_ind(a, b, equal_var=False)), near
        ),
        Race("paired t", lambda: bench.t_paired(a, paired), lambda: _with_interval(stats.ttest_rel(a, paired)), near),
        Race(
            "Mann-Whitney",
            lambda: bench.mannwhitney(a, b, method="asymptotic"),
            lambda: stats.mannwhitneyu(a, b, method="asymptotic"),
            near,
        ),
        Race(
            "Wilcoxon",
            lambda: bench.wilcoxon(a, paired, method="asymptotic", continuity=False),
            lambda: stats.wilcoxon(a, paired, method="asymptotic", correction=False),
            near,
        ),
        Race(
            "Pearson",
            lambda: bench.pearson(a, paired),
            lambda: _with_interval(stats.pearsonr(a, paired)),
            lambda ours, theirs: bool(np.isclose(ours.statistic, theirs.statistic, rtol=1e-12)),
        ),
        Race("Spearman", lambda: bench.spearman(a, b), lambda: stats.spearmanr(a, b), near),
        Race("Kendall", lambda: bench.kendall(a, b), lambda: stats.kendalltau(a, b), near),
        Race(
            f"BCa, {BOOTSTRAP:,} values and resamples",
            lambda: bench.bootstrap(small, n_resamples=BOOTSTRAP, seed=1),
            scipy_bootstrap,
            lambda ours, theirs: bool(np.isclose(ours.interval.low, theirs.confidence_interval.low, rtol=0.01)),
        ),
        Race(
            f"permutation, 200 + 200 values, {BOOTSTRAP:,} resamples",
            lambda: bench.permutation_independent(left, right, exact=False, n_resamples=BOOTSTRAP, seed=1),
            scipy_permutation,
            lambda ours, theirs: bool(abs(ours.p_value - theirs.pvalue) < 0.02),
        ),
        Race(
            f"{PAIRS:,} pairwise Welch tests of 20 values, with Holm",
            lambda: bench.family({f"{i} − {j}": bench.t_welch(arms[i], arms[j], assumptions=False) for i, j in pairs}),
            lambda: [_with_interval(stats.ttest_ind(arms[i], arms[j], equal_var=False)) for i, j in pairs],
            lambda ours, theirs: all(near(x.result, y) for x, y in zip(ours.members, theirs, strict=True)),
        ),
    ]


def along_axis_s(rng: np.random.Generator) -> float:
    """Least time of SciPy's Welch tests of as many pairs by one call along an axis, with intervals, seconds."""
    a, b = rng.normal(size=(2, PAIRS, 20))
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        _with_interval(stats.ttest_ind(a, b, axis=1, equal_var=False))
        best = min(best, time.perf_counter() - began)
    return best


def _with_interval(found: Any) -> Any:
    """SciPy's answer with its interval: ours has one."""
    found.confidence_interval(0.95)
    return found


def run(race: Race, turns: int) -> bool:
    """Time one race by turns; print a line and say whether it keeps the limit."""
    taken: tuple[list[float], list[float]] = ([], [])
    answers: list[Any] = []
    for turn in range(turns + 1):
        answers = []
        for side, call in enumerate((race.ours, race.theirs)):
            began = time.perf_counter()
            answers.append(call())
            if turn:  # the first one warms up
                taken[side].append(time.perf_counter() - began)
    if not race.same(*answers):
        raise AssertionError(f"{race.title}: {answers[0]} and {answers[1]} are no answers to the same question")
    ours, theirs = (statistics.median(each) for each in taken)
    is_kept = ours <= RATIO_MAX * theirs
    print(
        f"{race.title:55}{ours:>9.4f}{theirs:>9.4f}{ours / theirs:>7.2f}  {'met' if is_kept else 'missed'}", flush=True
    )
    return is_kept


def import_ms() -> float:
    """Least time of ``import crucible`` in fresh processes, beyond that of an empty one, milliseconds."""

    def least(code: str) -> float:
        best = float("inf")
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            best = min(best, time.perf_counter() - began)
        return best * 1000

    return least("import crucible, crucible.bench") - least("pass")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--only", help="races whose title has this in it")
    options = parser.parse_args(arguments)
    print(f"{'':55}{'ours s':>9}{'bare s':>9}{'ratio':>7}  at most {RATIO_MAX}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rng = np.random.default_rng(1)
        chosen = [race for race in races(rng) if not options.only or options.only in race.title]
        kept = [run(race, options.turns) for race in chosen]
        print(f"{PAIRS:,} tests by one call of SciPy along an axis, without effect sizes: {along_axis_s(rng):.4f} s")
    imported = import_ms()
    is_kept = imported <= IMPORT_MS_MAX
    verdict = "met" if is_kept else "missed"
    print(f"import crucible, crucible.bench: {imported:.0f} ms, at most {IMPORT_MS_MAX:.0f}: {verdict}")
    return 0 if all(kept) and is_kept else MISSED


if __name__ == "__main__":
    sys.exit(main())
