"""Checking what the built-in stage ``analysis`` is asked to compare, before the grid that it is about has run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from crucible.canonical import parse_json
from crucible.definition.asked_test import AskedTest, family_faults, faults_of
from crucible.definition.grid import cells_of
from crucible.definition.label import labels_of
from crucible.definition.model import Definition, MetricDeclaration, StageDefinition
from crucible.definition.problems import Loc, Problems, type_words
from crucible.scope import EXPERIMENT_SCOPE, RUN_SCOPE

ANALYSIS_TYPE: Final = "analysis"
TESTS_MAX: Final = 200
"""Declared tests of one analysis at most; one may compare many pairs of groups."""
OPTIONS_BYTES_MAX: Final = 200_000
"""Of what a further analysis is asked for."""


def check_analysis(definition: Definition, problems: Problems) -> None:
    """Check metrics and reference cell of each analysis against what the runs declare and the grid has."""
    declared = _declared(definition)
    for index, stage in enumerate(definition.stages):
        if stage.type == ANALYSIS_TYPE and stage.enabled:
            loc: Loc = ("stages", index, "options")
            _check_metrics(definition, stage, declared, loc, problems)
            _check_reference(definition, stage, loc, problems)
            _check_tests(definition, _tests(stage.options, loc, problems), loc, problems)


def analysis_definition(definition: Definition, options_json: str) -> Definition:
    """The definition of a further analysis: the grid, and nothing to be done but a stage ``analysis``."""
    stage = {
        "name": ANALYSIS_TYPE,
        "type": ANALYSIS_TYPE,
        "scope": EXPERIMENT_SCOPE,
        "options": parse_json(options_json),
    }
    alone: dict[str, Any] = {
        "hooks": {},
        "datasets": {},
        "adapter": None,
        "max_concurrent": None,
        "budget": None,
        "breaker": None,
    }
    return Definition.model_validate({**definition.canonical(), **alone, "stages": [stage]})


def analysis_problems(definition: Definition, options_json: str) -> list[str]:
    """Everything that is wrong with the options of a further analysis: it makes tests and nothing else."""
    problems = Problems()
    if len(options_json.encode()) > OPTIONS_BYTES_MAX:
        return [f"the options of an analysis have more than {OPTIONS_BYTES_MAX} bytes"]
    try:
        options = parse_json(options_json)
    except (ValueError, RecursionError) as error:
        return [f"the options of an analysis can't be read: {error}"]
    if not isinstance(options, dict) or options.keys() != {"metrics", "tests"} or options["metrics"] != []:
        return ["a further analysis has the options tests, and metrics, which is an empty list"]
    if not isinstance(options["tests"], list) or not 0 < len(options["tests"]) <= TESTS_MAX:
        return [f"a further analysis has a list of 1 to {TESTS_MAX} tests"]
    tests = _tests(options, (), problems)
    _check_tests(definition, tests, (), problems)
    return [str(problem) for problem in problems.errors]


def planned_tests(definition: Mapping[str, Any]) -> list[tuple[str, AskedTest]]:
    """The tests that a definition, as plain JSON, declares, with everything said, and the stages that make them.

    What can't be read is left out: the check of definitions refuses it.
    """
    found: list[tuple[str, AskedTest]] = []
    try:
        stages = [stage for stage in definition["stages"] if stage.get("enabled", True)]
        of_runs = [stage for stage in stages if stage.get("scope", RUN_SCOPE) == RUN_SCOPE]
        items = {name: metric.get("mean_of") for stage in of_runs for name, metric in stage["metrics"].items()}
        varied = [definition.get("parameters") or {}, *(definition.get("cells") or ())]
        parameters = sorted({name for names in varied for name in names})
        for stage in stages:
            if stage.get("type") == ANALYSIS_TYPE:
                for each in stage.get("options", {}).get("tests") or ():
                    asked = AskedTest.model_validate(each)
                    has_items = items.get(asked.metric) is not None
                    found.append((stage["name"], asked.resolved(has_items=has_items, parameters=parameters)))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return []
    return found


def _tests(options: Mapping[str, Any], loc: Loc, problems: Problems) -> list[tuple[int, AskedTest]]:
    """The tests that are asked for, each with its place; what is none is a problem."""
    found: list[tuple[int, AskedTest]] = []
    given = options.get("tests")
    for place, each in enumerate(given if isinstance(given, list) else ()):
        try:
            found.append((place, AskedTest.model_validate(each)))
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                where = (*loc, "tests", place, *(str(part) for part in fault["loc"][:1]))
                expected = type_words(fault["type"]) or fault["msg"].removeprefix("Input should be ")
                names = AskedTest.model_fields if fault["type"] == "extra_forbidden" else None
                problems.add(where, "is not what a test has there", expected=None if names else expected, names=names)
    return found


def _check_tests(definition: Definition, tests: Sequence[tuple[int, AskedTest]], loc: Loc, problems: Problems) -> None:
    is_with_items = {name: metric.mean_of is not None for name, metric in _declared(definition).items()}
    cells = cells_of(definition) if tests else []
    labels = labels_of(cells) if tests else []
    faults = [
        (place, fault)
        for place, asked in tests
        for fault in faults_of(asked, is_with_items=is_with_items, cells=cells, labels=labels)
    ]
    faults += [(tests[index][0], fault) for index, fault in family_faults([asked for _, asked in tests])]
    for place, fault in faults:
        where = (*loc, "tests", place, fault.field)
        problems.add(where, fault.message, value=fault.value, names=fault.names or None)


def _declared(definition: Definition) -> dict[str, MetricDeclaration]:
    """The metrics that stages of the runs declare."""
    return {name: metric for stage in definition.enabled_stages for name, metric in stage.metrics.items()}


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
