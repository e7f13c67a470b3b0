"""Verdicts of a submission whose runs have all ended: the rows of the read model in, the rows of a judgement out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from crucible.projections.buffer import Row
from crucible.projections.writer import Replacement
from crucible.statistics.inputs import (
    ItemScores,
    Judgement,
    MetricInput,
    RunInput,
    SubmissionInput,
    TargetInput,
)
from crucible.statistics.intervals import total

Judge = Callable[[SubmissionInput], Judgement]
"""Gives the verdicts of a submission: a pure function."""

_CAN_JUDGE = """
SELECT s.submission_id, s.generation FROM submissions s
WHERE s.closed_at IS NOT NULL
  AND (SELECT count(*) FROM runs r WHERE r.submission_id = s.submission_id AND r.scope = 'run' AND r.is_complete)
    >= s.run_count
  AND NOT EXISTS (
    SELECT 1 FROM runs r JOIN reused_spools q ON q.run_id = r.run_id LEFT JOIN spools p ON p.spool_id = q.spool_id
    WHERE r.submission_id = s.submission_id AND coalesce(p.next_sequence, 0) < q.end_sequence
      AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.key = q.source_run_id AND d.topic <> 'commands'))
"""
TO_JUDGE = f"""{_CAN_JUDGE}
  AND NOT EXISTS (SELECT 1 FROM judgements j WHERE j.submission_id = s.submission_id AND j.generation = s.generation)
ORDER BY s.submission_id
"""
IS_TO_JUDGE = f"{_CAN_JUDGE} AND s.submission_id = ? AND s.generation = ?"
"""A row if this submission at this generation may be judged: it may have been reopened since that was begun."""
_SCORES = """
SELECT p.run_id, d.name, p.score
FROM metric_declarations d
JOIN result_metrics m ON m.stage = d.stage AND m.name = d.name AND m.definition = 'mean_score(' || d.mean_of || ')'
JOIN run_predictions p ON p.run_id = m.run_id AND p.stage = d.stage AND p.split = d.mean_of
WHERE d.submission_id = ? AND m.run_id IN ({marks}) AND p.score IS NOT NULL
ORDER BY p.run_id, d.name, p.spool_id, p.sequence
"""


def judge_by_statistics(submission: SubmissionInput) -> Judgement:
    """The verdicts of ``crucible.statistics``, which is imported only when something has ended."""
    from crucible.statistics.verdicts import judge

    return judge(submission)


_LAST_LOGGED = """
SELECT s.run_id, s.name, s.last
FROM metric_summary s JOIN runs r ON r.run_id = s.run_id AND r.status = 'completed'
JOIN metric_declarations d ON d.submission_id = r.submission_id AND d.stage = s.stage AND d.name = s.name
WHERE r.submission_id = ? AND r.scope = 'run' ORDER BY s.run_id, s.stage, s.name
"""
"""A declared metric that a stage logs and does not return stands for its last effective point."""
_LAST_LOGGED_BY_SOURCE = """
SELECT q.run_id, n.name, arg_max(p.value, (q.position, p.sequence)) AS last
FROM runs r JOIN reused_spools q ON q.run_id = r.run_id AND r.status = 'completed'
JOIN metric_declarations d ON d.submission_id = r.submission_id AND d.stage = q.stage
JOIN spools s ON s.spool_id = q.spool_id JOIN points p ON p.spool_no = s.spool_no AND p.sequence < q.end_sequence
JOIN metric_names n ON n.name_no = p.name_no AND n.name = d.name
WHERE r.submission_id = ? GROUP BY q.run_id, q.stage, n.name ORDER BY q.run_id, q.stage, n.name
"""
"""The same for a reused stage, whose points another run logged."""


def judge_submission(cursor: Any, judge: Judge, submission_id: str, generation: int) -> list[Replacement]:
    """Judge one submission: the rows to commit. What goes wrong in it is a row as well, never an error."""
    try:
        made = judge(submission_input(cursor, submission_id))
        problem = None
    except Exception as error:  # noqa: BLE001  a submission that can't be judged must not stop the others
        made = Judgement((), (), None)
        problem = f"{type(error).__name__}: {error}"
    head = (submission_id, generation)
    verdicts: list[Row] = [
        (
            *head,
            row.metric,
            row.target,
            row.cell_index,
            row.label,
            row.is_selected,
            row.status,
            row.value,
            row.low,
            row.high,
            row.level,
            row.n,
            row.method,
            row.sentence,
        )
        for row in made.verdicts
    ]
    findings: list[Row] = [
        (*head, number, row.kind, row.parameter, row.value, row.sentence) for number, row in enumerate(made.findings, 1)
    ]
    return [
        ("verdicts", "submission_id", submission_id, verdicts),
        ("findings", "submission_id", submission_id, findings),
        ("judgements", "submission_id", submission_id, [(*head, made.selected_cell, problem)]),
    ]


def submission_input(cursor: Any, submission_id: str) -> SubmissionInput:
    """Everything that the verdicts of a submission depend on, in a fixed order."""
    (select, margin) = cursor.execute(
        "SELECT select_metric, margin FROM submissions WHERE submission_id = ?", [submission_id]
    ).fetchone()
    declared = cursor.execute(
        "SELECT name, better, unit, low, high, mean_of FROM metric_declarations"
        " WHERE submission_id = ? AND scope = 'run' ORDER BY ALL",
        [submission_id],
    ).fetchall()
    targets = cursor.execute(
        "SELECT metric, at_least, at_most FROM declared_targets WHERE submission_id = ? ORDER BY metric",
        [submission_id],
    ).fetchall()
    return SubmissionInput(
        submission_id=submission_id,
        select=select,
        margin=margin,
        metrics={
            name: MetricInput(name, better, unit, low, high, split) for name, better, unit, low, high, split in declared
        },
        targets=[TargetInput(*row) for row in targets],
        runs=_runs(cursor, submission_id),
    )


def _runs(cursor: Any, submission_id: str) -> list[RunInput]:
    rows = cursor.execute(
        "SELECT run_id, cell_index, label, params, repeat, status FROM runs WHERE submission_id = ? AND scope = 'run' "
        "ORDER BY cell_index, repeat, run_id",
        [submission_id],
    ).fetchall()
    metrics: dict[str, dict[str, float | None]] = defaultdict(dict)
    for run_id, name, value in cursor.execute(
        "SELECT m.run_id, m.name, m.value FROM result_metrics m JOIN runs r ON r.run_id = m.run_id "
        "WHERE r.submission_id = ? AND r.scope = 'run' ORDER BY m.run_id, m.stage, m.name",
        [submission_id],
    ).fetchall():
        if value is not None or name not in metrics[run_id]:
            metrics[run_id][name] = value
    for query in (_LAST_LOGGED, _LAST_LOGGED_BY_SOURCE):
        for run_id, name, value in cursor.execute(query, [submission_id]).fetchall():
            if metrics[run_id].get(name) is None:
                metrics[run_id][name] = value
    items = _item_scores(cursor, submission_id, _single_runs(rows))
    return [
        RunInput(
            run_id=run_id,
            cell_index=cell_index,
            label=label,
            params=_params(params),
            repeat=repeat,
            status=status,
            metrics=metrics.get(run_id, {}),
            items=items.get(run_id, {}),
        )
        for run_id, cell_index, label, params, repeat, status in rows
    ]


def _single_runs(rows: Iterable[Row]) -> list[str]:
    """Runs that are the only ones of their cell: their items are all there is for an interval."""
    cells: dict[int, list[str]] = defaultdict(list)
    for run_id, cell_index, *_ in rows:
        cells[cell_index].append(run_id)
    return [runs[0] for runs in cells.values() if len(runs) == 1]


def _item_scores(cursor: Any, submission_id: str, run_ids: list[str]) -> Mapping[str, Mapping[str, ItemScores]]:
    if not run_ids:
        return {}
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    query = _SCORES.format(marks=", ".join("?" * len(run_ids)))
    for run_id, name, score in cursor.execute(query, [submission_id, *run_ids]).fetchall():
        scores[run_id][name].append(score)
    return {
        run_id: {
            name: ItemScores(
                count=len(values),
                total=total(values),
                squares=total([value * value for value in values]),
                is_binary=all(value in {0.0, 1.0} for value in values),
            )
            for name, values in by_name.items()
        }
        for run_id, by_name in scores.items()
    }


def _params(text: str) -> Mapping[str, object]:
    params = json.loads(text)
    return params if isinstance(params, dict) else {}
