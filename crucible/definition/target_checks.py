"""Checking what is asked of results: the metric to select by, and quality targets that can be met."""

from __future__ import annotations

from collections.abc import Sequence

from crucible.definition.model import ExperimentFields, MetricDeclaration, Target
from crucible.definition.problems import Loc, Problems, nearest_name
from crucible.definition.stage_checks import CheckedStage, declared_metrics


def check_targets(fields: ExperimentFields, stages: Sequence[CheckedStage], problems: Problems) -> None:
    """Check ``select`` and every quality target against the metrics that the stages declare."""
    declared = declared_metrics([stage for stage in stages if stage.is_of_runs])
    of_experiment = declared_metrics([stage for stage in stages if not stage.is_of_runs])
    for name in of_experiment.keys() - declared.keys():
        if name == fields.select:
            _note_experiment_metric(name, ("select",), of_experiment, problems)
        if name in fields.quality_targets:
            _note_experiment_metric(name, ("quality_targets", name), of_experiment, problems)
        declared[name] = of_experiment[name]
    is_complete = all(stage.is_resolved for stage in stages)
    if fields.select is not None:
        _check_select(fields.select, declared, problems, is_complete=is_complete)
    for name, target in fields.quality_targets.items():
        loc: Loc = ("quality_targets", name)
        _check_bounds(target, loc, problems)
        metric = _find(name, loc, declared, problems, is_complete=is_complete)
        if metric is not None:
            _check_against(target, metric, loc, problems)


def _note_experiment_metric(name: str, loc: Loc, of_experiment: _Declared, problems: Problems) -> None:
    stage = of_experiment[name][0][0].name
    message = f"is a metric of {stage!r}, which is done once for the whole grid: no cell has it"
    problems.add(loc, message, value=name, expected="a metric of a stage of scope run")


_Declared = dict[str, list[tuple[CheckedStage, MetricDeclaration]]]


def _find(
    name: str, loc: Loc, declared: _Declared, problems: Problems, *, is_complete: bool
) -> MetricDeclaration | None:
    owners = declared.get(name, [])
    if not owners:
        if is_complete or nearest_name(name, declared) is not None:  # else it may be one of a stage that was not found
            problems.add(loc, "is a metric that no stage declares", value=name, names=declared)
        return None
    if len(owners) > 1:
        stages = ", ".join(stage.name for stage, _ in owners)
        problems.add(loc, f"is a metric that several stages declare: {stages}", value=name)
    return owners[0][1]


def _check_select(name: str, declared: _Declared, problems: Problems, *, is_complete: bool) -> None:
    metric = _find(name, ("select",), declared, problems, is_complete=is_complete)
    if metric is None:
        return
    if metric.kind != "reproducible":
        reason = f"is of class {metric.kind}: it may differ between two executions of the same recipe"
        problems.add(("select",), reason, value=name, expected="a metric of class reproducible")
    if metric.better is None:
        problems.add(("select",), "is a metric without a direction: declare better", value=name)


def _check_bounds(target: Target, loc: Loc, problems: Problems) -> None:
    if target.at_least is None and target.at_most is None:
        problems.add(loc, "has no bound", expected="at_least, at_most or both")
    elif target.at_least is not None and target.at_most is not None and target.at_least > target.at_most:
        shown = [target.at_least, target.at_most]
        problems.add(loc, "can't be met: at_least is above at_most", value=shown, expected="at_least <= at_most")


def _check_against(target: Target, metric: MetricDeclaration, loc: Loc, problems: Problems) -> None:
    if target.unit is not None and target.unit != metric.unit:
        problems.add((*loc, "unit"), "is not the unit of the metric", value=target.unit, expected=metric.unit or "none")
    if metric.range is None:
        return
    low, high = metric.range
    for name, bound in (("at_least", target.at_least), ("at_most", target.at_most)):
        if bound is not None and not low <= bound <= high:
            message = "can't be met or missed: it lies outside the metric's range"
            problems.add((*loc, name), message, value=bound, expected=f"{low:g} to {high:g}")
