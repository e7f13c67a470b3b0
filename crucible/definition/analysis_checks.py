"""Checking what the built-in stage ``analysis`` is asked to compare, before the grid that it is about has run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crucible.definition.grid import cells_of
from crucible.definition.label import labels_of
from crucible.definition.model import Definition, MetricDeclaration, StageDefinition
from crucible.definition.problems import Loc, Problems

ANALYSIS_TYPE: Final = "analysis"


def check_analysis(definition: Definition, problems: Problems) -> None:
    """Check metrics and reference cell of each analysis against what the runs declare and the grid has."""
    declared = {name: metric for stage in definition.enabled_stages for name, metric in stage.metrics.items()}
    for index, stage in enumerate(definition.stages):
        if stage.type == ANALYSIS_TYPE and stage.enabled:
            loc: Loc = ("stages", index, "options")
            _check_metrics(definition, stage, declared, loc, problems)
            _check_reference(definition, stage, loc, problems)


def _check_metrics(
    definition: Definition,
    stage: StageDefinition,
    declared: Mapping[str, MetricDeclaration],
    loc: Loc,
    problems: Problems,
) -> None:
    named = stage.options.get("metrics")
    if named is None:
        wanted = {definition.select, *definition.quality_targets}
        if not any(name in wanted and metric.better is not None for name, metric in declared.items()):
            message = "has nothing to compare by: nothing is selected by, and no target's metric has a direction"
            problems.add((*loc, "metrics"), message, expected="metrics that stages of the runs declare")
        return
    for place, name in enumerate(named):
        where = (*loc, "metrics", place)
        if name not in declared:
            problems.add(where, "is a metric that no stage of the runs declares", value=name, names=declared)
        elif declared[name].better is None:
            problems.add(where, "is a metric without a direction: declare better", value=name)


def _check_reference(definition: Definition, stage: StageDefinition, loc: Loc, problems: Problems) -> None:
    reference = stage.options.get("reference")
    if reference is not None and reference not in (labels := labels_of(cells_of(definition))):
        problems.add((*loc, "reference"), "is no label of a cell", value=reference, names=labels)
