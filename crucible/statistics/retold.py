"""Findings once more, from rows: what a report's sentences name as their function."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from crucible.statistics.findings import findings_of
from crucible.statistics.inputs import Better, MetricInput, RunInput, SubmissionInput
from crucible.statistics.readings import Rows
from crucible.statistics.verdicts import select_cell


def finding(rows: Rows, metric: str, better: Better | None, margin: float | None, number: int) -> str | None:
    """The sentence at place ``number`` of ``crucible.statistics.findings.findings_of``.

    Rows are (cell index, label, params as JSON, status, repeat, value of the metric), in the order of cell and repeat.
    None if there are fewer sentences.
    """
    submission = SubmissionInput("", metric, margin, {metric: MetricInput(metric, better)}, [], _runs(rows, metric))
    cells: dict[int, list[RunInput]] = defaultdict(list)
    for run in submission.runs:
        cells[run.cell_index].append(run)
    found = findings_of(submission, cells, select_cell(submission, cells))
    return found[number - 1].sentence if number <= len(found) else None


def _runs(rows: Rows, metric: str) -> Sequence[RunInput]:
    values: dict[tuple[int, int], Any] = {}
    heads: dict[tuple[int, int], Sequence[Any]] = {}
    for row in rows:
        key = (row[0], row[4])
        heads[key] = row
        if row[5] is not None or key not in values:
            values[key] = row[5]
    return [
        RunInput("", row[0], row[1], json.loads(row[2]), row[4], row[3], {metric: values[key]})
        for key, row in heads.items()
    ]
