"""The built-in stage ``analysis``: all cells of a grid compared, once every run has ended.

The statistics are pure functions of `crucible.statistics`; what is said here is which metrics and cells are meant, and
where the results go: onto the log as `CellsCompared`, and into the artifact ``analysis`` as JSON.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

import crucible as cr
from crucible.bench.corrections import Correction
from crucible.bench.encoding import to_plain
from crucible.bench.recording import from_record
from crucible.canonical import canonical_json
from crucible.definition.analysis_checks import TESTS_MAX
from crucible.definition.asked_test import AskedTest, family_faults, faults_of
from crucible.errors import UsageError
from crucible.finished_runs import DeclaredMetric, FinishedRun
from crucible.records.record import CellComparison, CellRanking
from crucible.records.recorded_results import DeclaredTest
from crucible.statistics.cells import CellRun, compare_cells, pairs_of, rank_cells
from crucible.statistics.declared_tests import run_tests

ARTIFACT = "analysis"
"""Name of the artifact."""
RESAMPLES = 10_000
LEVEL = 0.95


@cr.stage(scope="experiment", artifacts=[ARTIFACT], name="analysis")
def analyse(
    run: cr.Run,
    *,
    metrics: Annotated[
        list[str] | None,
        Field(
            description="metrics to compare all cells by; default: the selected and the targets'; none of an empty list"
        ),
    ] = None,
    reference: Annotated[
        str | None, Field(description="label of the cell that each other one is compared with; default: all pairs")
    ] = None,
    correction: Annotated[Correction, Field(description="correction of p values within a family")] = "holm",
    level: Annotated[float, Field(gt=0.5, lt=1, description="confidence level of intervals")] = LEVEL,
    resamples: Annotated[
        int, Field(ge=100, le=1_000_000, description="resamples for the chance to be best")
    ] = RESAMPLES,
    tests: Annotated[
        list[dict[str, Any]] | None, Field(max_length=TESTS_MAX, description="tests that are declared, in families")
    ] = None,
) -> None:
    """Compare the cells of the grid by each metric that has a direction, over repeats and over shared items.

    Then make the declared tests.
    """
    runs = run.experiment_runs()
    asked = _asked([AskedTest.model_validate(each) for each in tests or ()], run.experiment_metrics(), runs)
    chosen = _chosen(run.experiment_metrics(), metrics)
    pairs = pairs_of((each.cell_index for each in runs), _cell_called(runs, reference))
    comparisons: list[CellComparison] = []
    rankings: list[CellRanking] = []
    for metric in chosen:
        items = run.item_scores(metric.name) if metric.split is not None else {}
        cells = [_cell_run(each, metric.name, items.get(each.run_id, {})) for each in runs]
        comparisons += compare_cells(metric.name, cells, pairs, correction=correction, level=level)
        rankings += rank_cells(
            metric.name,
            cells,
            rng=run.rng(f"best by {metric.name}"),
            resamples=resamples,
            level=level,
            is_lower_better=metric.better == "lower",
        )
    settings = {"correction": correction, "level": level, "reference": reference, "resamples": resamples}
    tested = run_tests(asked, run.experiment_metrics(), runs, run.item_scores, seed=run.seed)
    _keep(run, chosen, settings, {"comparisons": comparisons, "rankings": rankings, "tests": _plain(tested)})
    run.save_comparisons(comparisons, rankings)
    run.save_tests(tested)


def _asked(
    tests: Sequence[AskedTest], declared: Mapping[str, DeclaredMetric], runs: Sequence[FinishedRun]
) -> list[AskedTest]:
    """The tests with everything said. Raises ``UsageError`` that lists what can't be done."""
    cells = {each.cell_index: each for each in runs}.values()
    if len(cells) == 1:
        return []  # a smoke test: of one cell there is nothing to compare
    is_with_items = {name: metric.split is not None for name, metric in declared.items()}
    params, labels = [each.params for each in cells], [each.label for each in cells]
    found = [
        (place, fault)
        for place, asked in enumerate(tests)
        for fault in faults_of(asked, is_with_items=is_with_items, cells=params, labels=labels)
    ]
    if problems := [*found, *family_faults(tests)]:
        said = [f"tests[{place}].{fault.field}: {fault.value!r} {fault.message}" for place, fault in problems]
        raise UsageError("; ".join(said))
    parameters = sorted({name for cell in params for name in cell})
    return [asked.resolved(has_items=is_with_items[asked.metric], parameters=parameters) for asked in tests]


def _chosen(declared: Mapping[str, DeclaredMetric], names: Sequence[str] | None) -> list[DeclaredMetric]:
    """The metrics to compare by. Raises ``UsageError`` that names each that can't be."""
    if names is None:
        found = [metric for metric in declared.values() if metric.is_selected or metric.is_target]
        found = [metric for metric in found if metric.better is not None]
        if not found:
            message = (
                "there is nothing to compare by: the experiment selects by no metric, and no target's metric has a "
                f"direction; name some in the option metrics, of {_listed(_with_direction(declared))}"
            )
            raise UsageError(message)
        return sorted(found, key=lambda metric: not metric.is_selected)
    problems = [problem for name in names if (problem := _problem(name, declared)) is not None]
    if problems:
        raise UsageError("; ".join(problems))
    return [declared[name] for name in dict.fromkeys(names)]


def _problem(name: str, declared: Mapping[str, DeclaredMetric]) -> str | None:
    if name not in declared:
        near = difflib.get_close_matches(name, declared, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"they declare {_listed(declared)}"
        return f"metrics: no stage of the runs declares {name!r}; {hint}"
    if declared[name].better is None:
        return f"metrics: {name!r} has no direction; declare better='higher' or better='lower'"
    return None


def _with_direction(declared: Mapping[str, DeclaredMetric]) -> list[str]:
    return [metric.name for metric in declared.values() if metric.better is not None]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _cell_called(runs: Sequence[FinishedRun], label: str | None) -> int | None:
    if label is None:
        return None
    cells = {each.label: each.cell_index for each in runs}
    if label in cells:
        return cells[label]
    near = difflib.get_close_matches(label, cells, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"they are {_listed(cells)}"
    message = f"reference: no cell is called {label!r}; {hint}"
    raise UsageError(message)


def _cell_run(each: FinishedRun, metric: str, items: Mapping[str, float]) -> CellRun:
    finite = {item_id: score for item_id, score in items.items() if math.isfinite(score)}
    return CellRun(
        cell_index=each.cell_index,
        label=each.label,
        repeat=each.repeat,
        value=each.metrics.get(metric),
        items=finite,
    )


def _plain(tested: Sequence[DeclaredTest]) -> list[Mapping[str, Any]]:
    """Tests as JSON holds them: without infinity."""
    return [{**each, "result": to_plain(from_record(each["result"]))} for each in tested if each["result"] is not None]


def _keep(
    run: cr.Run,
    chosen: Sequence[DeclaredMetric],
    settings: Mapping[str, Any],
    found: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    import numpy as np
    import scipy

    content = {
        "settings": settings,
        "metrics": [
            {"name": metric.name, "unit": metric.unit, "better": metric.better, "split": metric.split}
            for metric in chosen
        ],
        "runs": len(run.experiment_runs()),
        "versions": {"numpy": np.__version__, "scipy": scipy.__version__},
        **found,
    }
    run.artifact(ARTIFACT, canonical_json(content).encode(), kind="analysis", metadata={"format": "json"})
