"""Verdicts of a submission whose runs have all ended: the rows of the read model in, the rows of a judgement out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
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
STILL_TO_JUDGE = f"{_CAN_JUDGE} AND s.submission_id IN ({{marks}})"
"""Those of some submissions that may be judged, with their generations: one may have been reopened since."""
_SUBMISSIONS = "SELECT submission_id, select_metric, margin FROM submissions WHERE submission_id IN ({marks})"
_DECLARED = """
SELECT submission_id, name, better, unit, low, high, mean_of FROM metric_declarations
WHERE submission_id IN ({marks}) AND scope = 'run' ORDER BY ALL
"""
_TARGETS = """
SELECT submission_id, metric, at_least, at_most FROM declared_targets
WHERE submission_id IN ({marks}) ORDER BY submission_id, metric
"""
_RUNS = """
SELECT submission_id, run_id, cell_index, label, params, repeat, status FROM runs
WHERE submission_id IN ({marks}) AND scope = 'run' ORDER BY submission_id, cell_index, repeat, run_id
"""
_RESULTS = """
SELECT m.run_id, m.name, m.value FROM result_metrics m JOIN runs r ON r.run_id = m.run_id
WHERE r.submission_id IN ({marks}) AND r.scope = 'run' ORDER BY m.run_id, m.stage, m.name
"""
_SCORES = """
SELECT p.run_id, d.name, p.score
FROM metric_declarations d JOIN runs r ON r.submission_id = d.submission_id
JOIN result_metrics m
  ON m.run_id = r.run_id AND m.stage = d.stage AND m.name = d.name AND m.definition = 'mean_score(' || d.mean_of || ')'
JOIN run_predictions p ON p.run_id = m.run_id AND p.stage = d.stage AND p.split = d.mean_of
WHERE r.run_id IN ({marks}) AND p.score IS NOT NULL
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
WHERE r.submission_id IN ({marks}) AND r.scope = 'run' ORDER BY s.run_id, s.stage, s.name
"""
"""A declared metric that a stage logs and does not return stands for its last effective point."""
_LAST_LOGGED_BY_SOURCE = """
SELECT q.run_id, n.name, arg_max(p.value, (q.position, p.sequence)) AS last
FROM runs r JOIN reused_spools q ON q.run_id = r.run_id AND r.status = 'completed'
JOIN metric_declarations d ON d.submission_id = r.submission_id AND d.stage = q.stage
JOIN spools s ON s.spool_id = q.spool_id JOIN points p ON p.spool_no = s.spool_no AND p.sequence < q.end_sequence
JOIN metric_names n ON n.name_no = p.name_no AND n.name = d.name
WHERE r.submission_id IN ({marks}) GROUP BY q.run_id, q.stage, n.name ORDER BY q.run_id, q.stage, n.name
"""
"""The same for a reused stage, whose points another run logged."""


def judge_submissions(
    cursor: Any, judge: Judge, submissions: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], list[Replacement]]:
    """Judge submissions at their generations: the rows to commit for each. What goes wrong in one is a row as well."""
    inputs = _inputs_or_problems(cursor, [submission_id for submission_id, _ in submissions])
    return {each: _judged(judge, inputs[each[0]], *each) for each in submissions}


def _inputs_or_problems(cursor: Any, submission_ids: Sequence[str]) -> Mapping[str, SubmissionInput | Exception]:
    """What each depends on, read for all at once; if that fails, one by one: it must not stop the others."""
    try:
        return submission_inputs(cursor, submission_ids)
    except Exception as error:  # noqa: BLE001  whatever is wrong with one of them
        if len(submission_ids) == 1:
            return {submission_ids[0]: error}
        each = (_inputs_or_problems(cursor, [submission_id]) for submission_id in submission_ids)
        return {name: found for part in each for name, found in part.items()}


def _judged(
    judge: Judge, submission: SubmissionInput | Exception, submission_id: str, generation: int
) -> list[Replacement]:
    made = Judgement((), (), None)
    failure = submission if isinstance(submission, Exception) else None
    if not isinstance(submission, Exception):
        try:
            made = judge(submission)
        except Exception as error:  # noqa: BLE001  a submission that can't be judged must not stop the others
            failure = error
    problem = None if failure is None else f"{type(failure).__name__}: {failure}"
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


def submission_inputs(cursor: Any, submission_ids: Sequence[str]) -> dict[str, SubmissionInput]:
    """Everything that the verdicts of submissions depend on, in a fixed order."""
    rows = {query: _ask(cursor, query, submission_ids) for query in (_SUBMISSIONS, _DECLARED, _TARGETS)}
    declared, targets = _by_first(rows[_DECLARED]), _by_first(rows[_TARGETS])
    runs = _runs(cursor, submission_ids)
    return {
        submission_id: SubmissionInput(
            submission_id=submission_id,
            select=select,
            margin=margin,
            metrics={row[0]: MetricInput(*row) for row in declared[submission_id]},
            targets=[TargetInput(*row) for row in targets[submission_id]],
            runs=runs[submission_id],
        )
        for submission_id, select, margin in rows[_SUBMISSIONS]
    }


def _runs(cursor: Any, submission_ids: Sequence[str]) -> Mapping[str, list[RunInput]]:
    """The runs of each submission."""
    rows = _by_first(_ask(cursor, _RUNS, submission_ids))
    metrics: dict[str, dict[str, float | None]] = defaultdict(dict)
    for run_id, name, value in _ask(cursor, _RESULTS, submission_ids):
        if value is not None or name not in metrics[run_id]:
            metrics[run_id][name] = value
    for query in (_LAST_LOGGED, _LAST_LOGGED_BY_SOURCE):
        for run_id, name, value in _ask(cursor, query, submission_ids):
            if metrics[run_id].get(name) is None:
                metrics[run_id][name] = value
    items = _item_scores(cursor, [run_id for each in rows.values() for run_id in _single_runs(each)])
    made: dict[str, list[RunInput]] = defaultdict(list)
    for submission_id, of_submission in rows.items():
        made[submission_id] = [
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
            for run_id, cell_index, label, params, repeat, status in of_submission
        ]
    return made


def _ask(cursor: Any, query: str, keys: Sequence[str]) -> list[Row]:
    found: list[Row] = cursor.execute(query.format(marks=", ".join("?" * len(keys))), keys).fetchall()
    return found


def _by_first(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rest of each row by its first column."""
    found: dict[str, list[Row]] = defaultdict(list)
    for first, *rest in rows:
        found[first].append(tuple(rest))
    return found


def _single_runs(rows: Iterable[Row]) -> list[str]:
    """Runs that are the only ones of their cell: their items are all there is for an interval."""
    cells: dict[int, list[str]] = defaultdict(list)
    for run_id, cell_index, *_ in rows:
        cells[cell_index].append(run_id)
    return [runs[0] for runs in cells.values() if len(runs) == 1]


def _item_scores(cursor: Any, run_ids: Sequence[str]) -> Mapping[str, Mapping[str, ItemScores]]:
    if not run_ids:
        return {}
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run_id, name, score in _ask(cursor, _SCORES, run_ids):
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
