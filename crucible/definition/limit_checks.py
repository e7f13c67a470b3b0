"""Checking what may stop a submission: a budget of which something can be spent, a breaker that can open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from crucible.definition.model import BREAKER_RUNS_DEFAULT, COST_METRIC_DEFAULT, ExperimentFields
from crucible.definition.problems import Problems, nearest_name
from crucible.definition.stage_checks import CheckedStage, declared_metrics


def limits_in_full(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return budget and breaker with what depends on what else was given filled in.

    A cost that is a bare number is one of the default metric; a breaker waits for no more runs than its window has.
    """
    full: dict[str, Any] = {}
    budget, breaker = own.get("budget"), own.get("breaker")
    if isinstance(budget, Mapping) and _is_number(cost := budget.get("cost")):
        full["budget"] = {**budget, "cost": {"metric": COST_METRIC_DEFAULT, "max": cost}}
    if isinstance(breaker, Mapping) and breaker.get("min_runs") is None and _is_number(window := breaker.get("window")):
        full["breaker"] = {**breaker, "min_runs": max(1, min(BREAKER_RUNS_DEFAULT, int(window)))}
    return full


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_limits(fields: ExperimentFields, stages: Sequence[CheckedStage], problems: Problems) -> None:
    """Check that the cost is a metric that a stage declares, and that the breaker's window can fill."""
    budget, breaker = fields.budget, fields.breaker
    if budget is not None and budget.time_s is None and budget.cost is None and budget.runs is None:
        problems.add(("budget",), "has no limit", expected="time_s, cost or runs")
    if budget is not None and budget.cost is not None:
        declared = declared_metrics(stages)
        name = budget.cost.metric
        is_complete = all(stage.is_resolved for stage in stages)
        if name not in declared and (is_complete or nearest_name(name, declared) is not None):
            where = ("budget", "cost", "metric")
            problems.add(
                where, "is a metric that no stage declares, so nothing is ever spent", value=name, names=declared
            )
    if breaker is not None and breaker.min_runs > breaker.window:
        shown = {"window": breaker.window, "min_runs": breaker.min_runs}
        problems.add(("breaker", "min_runs"), "is above the window: the breaker could never open", value=shown)
