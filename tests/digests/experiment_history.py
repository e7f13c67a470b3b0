"""What is recorded of an experiment as a whole: its limits, what is done before and after its grid, and hooks."""

import random

from tests.projections.declared import ASKED, declared
from tests.projections.history import definition

LIMITS = {
    "budget": {"time_s": 0.5, "cost": {"metric": "val/accuracy", "max": 3.0}, "runs": 3},
    "breaker": {"window": 4, "failure_rate": 0.25, "min_runs": 2},
}
PLAN = {
    "metrics": {},
    "name": "analysis",
    "type": "analysis",
    "scope": "experiment",
    "enabled": True,
    "options": {"tests": [ASKED.model_dump(mode="json")]},
}
"""A stage that declares a test."""
NO_CELL = -1


def submit(history, rng, run_count, **fields):
    """A submission that has limits, or none, and declares a test."""
    stages = [*definition()["stages"], PLAN]
    parameters = {"fit.learning_rate": [0.1, 0.2]}
    fields = {"stages": stages, "parameters": parameters, **fields}
    history.submit(run_count, **fields, **(LIMITS if rng.random() < 0.7 else {}))


def stop(history, rng):
    """Limits that are reached, a change of one, and the end that follows; some of it void."""
    where = {"submission_id": history.submission, "experiment": history.experiment}
    for kind, metric, allowed, spent in (
        ("time_s", None, 0.5, 0.75),
        ("cost", "val/accuracy", 3.0, rng.random()),
        ("runs", None, 3.0, None),
    ):
        fate = rng.random()
        if fate < 0.5:
            exceeded = {"kind": kind, "metric": metric, "allowed": allowed, "spent": spent}
            history.add("BudgetExceeded", **where, generation=1, **exceeded)
            if fate < 0.2:
                history.add("BudgetExceeded", **where, generation=1, **exceeded)
        elif fate < 0.7:
            history.add("ChangeBudget", **where, budget_json=f'{{"{kind}": 9}}')
            history.add("BudgetChanged", **where, budget_json=f'{{"{kind}": 9}}')
    if rng.random() < 0.4:
        failures = {"window": 4, "ended": 3, "failed": 2, "rate": 2 / 3, "allowed_rate": 0.25}
        history.add("BreakerOpened", **where, generation=1, **failures)


def hooks(history, where):
    """A hook that returned and one that failed, under a claim."""
    history.add("HookCompleted", **where, hook="before_stage", function="mine:ready", duration_ms=1.5)
    history.add(
        "HookFailed",
        **where,
        hook="after_stage",
        function="notify-send",
        duration_ms=None,
        error_type="exit",
        message="“1”",
        policy="continue",
    )


def whole_before_grid(history, run):
    """The run that has to complete before a grid starts."""
    _begin(history, run, "_before", "prepare", 1)
    history.complete(run, f"{run}-c1", "prepare")
    history.finish(run)


def analyse(history, rng, run, cells, repeat=1):
    """The run that follows a grid: what it found in two parts, the first one twice; or it fails."""
    where = _begin(history, run, "_experiment", "analysis", repeat)
    hooks(history, where)
    for part in (1, 2):
        found = history.add(
            "CellsCompared",
            **where,
            part=part,
            parts=2,
            comparisons=[comparison(rng, 0, cell) for cell in range(1, cells)],
            rankings=[ranking(rng, cell) for cell in range(cells)],
        )
        drawn = random.Random(f"{run} {part}")
        tests = [declared(drawn, label=f"{part}.{place}") for place in range(2)]
        tested = history.add("HypothesesTested", **where, part=part, parts=2, tests=tests)
        if part == 1:
            history.journal.append(found)
            history.journal.append(tested)
    if rng.random() < 0.7:
        history.complete(run, f"{run}-c1", "analysis")
        history.finish(run)
        return
    failure = {"error_class": "permanent", "error_type": "UsageError", "message": "nothing to compare by"}
    history.add("StageFailed", **where, telemetry_end={}, **failure)
    history.add("RunFailed", run_id=run, generation=1, stage="analysis", reason="no")


def _begin(history, run, label, stage, repeat):
    history.create(run, cell=NO_CELL, repeat=repeat, stages=(stage,), label=label, scope="experiment")
    history.start(run)
    history.request(run, stage)
    history.claim(run, f"{run}-c1", stage)
    return history.where(run, f"{run}-c1", stage)


def comparison(rng, cell_a, cell_b):
    """Two cells compared, or not to be compared."""
    is_ok = rng.random() < 0.7
    numbers = (
        "mean_a", "mean_b", "difference", "low", "high", "p", "p_adjusted", "effect", "effect_low", "effect_high", "d_z",
    )  # fmt: skip
    return {
        **{name: rng.choice([rng.random(), -0.0]) if is_ok else None for name in numbers},
        "metric": "val/accuracy",
        "cell_a": cell_a,
        "label_a": f"lr{cell_a}",
        "cell_b": cell_b,
        "label_b": f"lr{cell_b}",
        "pairing": rng.choice(["repeat", "item"]),
        "n": 2,
        "level": 0.95,
        "correction": "holm",
        "family": cell_b,
        "effect_name": "hedges_g_z",
        "method": "paired t",
        "status": "ok" if is_ok else "degenerate",
        "reason": None if is_ok else "zero_variance",
    }


def ranking(rng, cell):
    """A cell in its order."""
    return {
        "metric": "val/accuracy",
        "cell_index": cell,
        "label": f"lr{cell}",
        "n": 2,
        "mean": rng.random(),
        "low": None,
        "high": rng.random(),
        "level": 0.95,
        "p_best": rng.choice([None, rng.random()]),
        "resamples": 100,
    }
