"""Tests of an analysis as records hold them, for histories: computed, of values that a seed draws."""

import random

from crucible.bench import t_paired, wilcoxon
from crucible.bench.recording import recorded, to_record
from crucible.definition.asked_test import AskedTest

ASKED = AskedTest(metric="val/accuracy", by=["fit.learning_rate"], test="t_paired", pair="repeat")


def declared(
    rng, *, label="a − b", groups=("a", "b"), metric="val/accuracy", asked=ASKED, conclusion="a beats b.", **said
):
    """One declared test; ``said`` replaces fields."""
    n = rng.choice([1, 3, 6])
    a, b = [rng.random() for _ in range(n)], [rng.random() for _ in range(n)]
    test = wilcoxon if rng.random() < 0.3 else t_paired
    return {
        "label": label,
        "asked_json": asked.canonical_json(),
        "metric": metric,
        "better": "higher",
        "by": "fit.learning_rate",
        "pairing": "repeat",
        "group_a": groups[0],
        "group_b": groups[1],
        "family": "planned",
        "correction": "holm",
        "alpha": 0.05,
        "family_tests": 2,
        "p_adjusted": rng.choice([rng.random(), None]),
        "ln_p_adjusted": None,
        "is_rejected": rng.random() < 0.5,
        "conclusion": conclusion,
        "result": to_record(recorded(test(a, b), a=a, b=b)),
        **said,
    }


def add_analysis(history, run, tests, *, label="_experiment", repeat=1):
    """A completed run of scope experiment that has made these tests."""
    history.create(run, cell=-1, repeat=repeat, stages=("analysis",), label=label, scope="experiment", params={})
    history.start(run)
    history.request(run, "analysis")
    history.claim(run, f"{run}-c1", "analysis")
    where = history.where(run, f"{run}-c1", "analysis")
    event = history.add("HypothesesTested", **where, part=1, parts=1, tests=tests)
    history.complete(run, f"{run}-c1", "analysis")
    history.finish(run)
    return event


def seeded():
    return random.Random(11)
