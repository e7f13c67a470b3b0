"""Views of the read model: points joined with their names, commands with their answers, targets with their verdicts."""

from __future__ import annotations

from crucible.projections.columns import View
from crucible.projections.tables_limits import BUDGETS
from crucible.projections.views_analysis import ANALYSIS_VIEWS

_POINTS = """
SELECT s.run_id, s.stage, s.attempt, s.claim_id, n.name, p.step, p.value, p.time, s.spool_id, p.sequence{more}
FROM points p
JOIN spools s ON p.spool_no = s.spool_no
JOIN metric_names n ON p.name_no = n.name_no
"""
_ITEMS = """
SELECT s.run_id, s.stage, s.attempt, s.claim_id, p.split, p.item_id, p.score, p.label, p.prediction, p.time,
  p.texts_blob, p.is_simulated, s.spool_id, p.sequence{more}
FROM scored_items p
JOIN spools s ON p.spool_no = s.spool_no
"""
_EFFECTIVE = f"(s.is_effective AND p.sequence < coalesce(s.end_sequence, {2**63 - 1}))"
"""Planned a fifth faster than with IS NULL OR; planning is most of what a short curve costs."""
_POINT_COLUMNS = (
    ("run_id", "the run"),
    ("stage", "stage name"),
    ("attempt", "attempt of the stage, from 1"),
    ("claim_id", "the claim under which it was logged"),
    ("name", "metric"),
    ("step", "step, from 1; 0: none"),
    ("value", "value; NaN and infinity are kept"),
    ("time", "when it was logged, UTC"),
    ("spool_id", "spool that it came from"),
    ("sequence", "sequence number within the spool"),
)
_ITEM_COLUMNS = (
    ("run_id", "the run"),
    ("stage", "stage name"),
    ("attempt", "attempt of the stage, from 1"),
    ("claim_id", "the claim under which it was made"),
    ("split", "split of the dataset"),
    ("item_id", "id of the item"),
    ("score", "score; null: not scored"),
    ("label", "label, up to 64 bytes"),
    ("prediction", "prediction, up to 64 bytes"),
    ("time", "when it was made, UTC"),
    ("texts_blob", "digest of the JSON lines with longer texts"),
    ("is_simulated", "the adapter simulates"),
    ("spool_id", "spool that it came from"),
    ("sequence", "sequence number within the spool"),
)
_IS_EFFECTIVE = ("is_effective", "false: superseded by a later claim that repeated this part of the work")

METRICS = View(
    "metrics",
    "Every metric point, superseded ones too.",
    _POINTS.format(more=f", coalesce({_EFFECTIVE}, false) AS is_effective"),
    (*_POINT_COLUMNS, _IS_EFFECTIVE),
    is_parted=True,
)
METRICS_EFFECTIVE = View(
    "metrics_effective",
    "The metric points that count: after a takeover, each step once.",
    _POINTS.format(more="") + f"WHERE {_EFFECTIVE}",
    _POINT_COLUMNS,
    is_parted=True,
)
PREDICTIONS = View(
    "predictions",
    "Every prediction, superseded ones too.",
    _ITEMS.format(more=f", coalesce({_EFFECTIVE}, false) AS is_effective"),
    (*_ITEM_COLUMNS, _IS_EFFECTIVE),
    is_parted=True,
)
PREDICTIONS_EFFECTIVE = View(
    "predictions_effective",
    "The predictions that count.",
    _ITEMS.format(more="") + f"WHERE {_EFFECTIVE}",
    _ITEM_COLUMNS,
    is_parted=True,
)
_SOURCE_POINTS = """
SELECT q.run_id, q.source_run_id, q.stage, s.attempt, s.claim_id, n.name, p.step, p.value, p.time, q.spool_id,
  p.sequence, true AS is_reused
FROM reused_spools q
JOIN spools s ON s.spool_id = q.spool_id
JOIN points p ON p.spool_no = s.spool_no AND p.sequence < q.end_sequence
JOIN metric_names n ON n.name_no = p.name_no
"""
_SOURCE_ITEMS = """
SELECT q.run_id, q.source_run_id, q.stage, s.attempt, s.claim_id, p.split, p.item_id, p.score, p.label, p.prediction,
  p.time, p.texts_blob, p.is_simulated, q.spool_id, p.sequence, true AS is_reused
FROM reused_spools q
JOIN spools s ON s.spool_id = q.spool_id
JOIN scored_items p ON p.spool_no = s.spool_no AND p.sequence < q.end_sequence
"""
_OF_RUN = (("run_id", "the run that has the result"), ("source_run_id", "the run that executed the stage"))
_IS_REUSED = ("is_reused", "another run executed the stage")
_OWN = "SELECT run_id, run_id AS source_run_id, {columns}, false AS is_reused FROM {view}"


def _through_sources(columns: tuple[tuple[str, str], ...], view: View, sources: str) -> str:
    """What runs logged themselves, and what was logged for their reused stages by the runs that executed them."""
    names = ", ".join(name for name, _ in columns[1:])
    return f"{_OWN.format(columns=names, view=view.name)} UNION ALL {sources.strip()}"


STAGE_SOURCES = View(
    "stage_sources",
    "Which run executed each stage: itself, or the one whose result stands for a reused stage.",
    """
SELECT run_id, stage, coalesce(reused_run_id, run_id) AS source_run_id, reused_run_id IS NOT NULL AS is_reused
FROM stages
""",
    (
        ("run_id", "the run"),
        ("stage", "stage name"),
        ("source_run_id", "the run that executed it; never one whose stage was reused itself"),
        _IS_REUSED,
    ),
)
RUN_METRICS = View(
    "run_metrics",
    "The metric points that count, those of reused stages too: as logged by the run that executed them.",
    _through_sources(_POINT_COLUMNS, METRICS_EFFECTIVE, _SOURCE_POINTS),
    (*_OF_RUN, *_POINT_COLUMNS[1:], _IS_REUSED),
)
RUN_PREDICTIONS = View(
    "run_predictions",
    "The predictions that count, those of reused stages too: as made by the run that executed them.",
    _through_sources(_ITEM_COLUMNS, PREDICTIONS_EFFECTIVE, _SOURCE_ITEMS),
    (*_OF_RUN, *_ITEM_COLUMNS[1:], _IS_REUSED),
)
COMMANDS = View(
    "commands",
    "Every command and what became of it.",
    """
SELECT c.command_id, c.type, c.key, c.occurred_at, c.actor, c.payload, a.answer, a.reasons, a.answered_at,
  a.event_id AS answer_event_id
FROM command_records c LEFT JOIN command_answers a ON a.command_id = c.command_id
""",
    (
        ("command_id", "event_id of the command"),
        ("type", "for example CancelRun"),
        ("key", "experiment, run or subject"),
        ("occurred_at", "when it was given, UTC"),
        ("actor", "who gave it"),
        ("payload", "its fields, JSON"),
        ("answer", "accepted, rejected or obsolete; null: not yet answered"),
        ("reasons", "why it was not accepted, JSON list"),
        ("answered_at", "UTC"),
        ("answer_event_id", "the event that answers it"),
    ),
)
TARGETS = View(
    "targets",
    "Quality targets, a row for each verdict; before there is one, a row with empty verdict columns.",
    """
SELECT t.submission_id, t.experiment, t.metric, t.at_least, t.at_most, t.unit, v.target, v.cell_index, v.label,
  v.is_selected, v.status, v.value, v.low, v.high, v.level, v.n, v.method, v.sentence
FROM declared_targets t
LEFT JOIN submissions s ON s.submission_id = t.submission_id
LEFT JOIN verdicts v ON v.submission_id = t.submission_id AND v.metric = t.metric AND v.generation = s.generation
""",
    (
        ("submission_id", "the submission"),
        ("experiment", "name of the experiment"),
        ("metric", "metric"),
        ("at_least", "lowest value that is good enough"),
        ("at_most", "highest value that is good enough"),
        ("unit", "unit of the bounds"),
        ("target", "the bound in words"),
        ("cell_index", "cell judged"),
        ("label", "label of the cell"),
        ("is_selected", "the cell is the one that the selected metric chose"),
        ("status", "met, missed, undecided or unmeasured; null: not yet judged"),
        ("value", "mean"),
        ("low", "lower end of the interval"),
        ("high", "upper end of the interval"),
        ("level", "confidence level of the interval"),
        ("n", "repeats or items that the interval is over"),
        ("method", "how the interval was computed"),
        ("sentence", "in words"),
    ),
)
SUBMISSION_PROGRESS = View(
    "submission_progress",
    "How many runs of the grid of each submission stand where.",
    """
SELECT s.submission_id, s.experiment, s.number, s.run_count,
  count(r.run_id) AS created,
  count(r.run_id) FILTER (r.status = 'pending') AS pending,
  count(r.run_id) FILTER (r.status = 'running') AS running,
  count(r.run_id) FILTER (r.status = 'completed') AS completed,
  count(r.run_id) FILTER (r.status = 'failed') AS failed,
  count(r.run_id) FILTER (r.status = 'canceled') AS canceled,
  count(r.run_id) FILTER (r.status = 'completed' AND r.reused_stages = r.stage_count) AS reused
FROM submissions s LEFT JOIN runs r ON r.submission_id = s.submission_id AND r.scope = 'run'
GROUP BY s.submission_id, s.experiment, s.number, s.run_count
""",
    (
        ("submission_id", "the submission"),
        ("experiment", "name of the experiment"),
        ("number", "number within the experiment, from 1"),
        ("run_count", "runs of the grid"),
        ("created", "runs that exist by now"),
        ("pending", "not yet started"),
        ("running", "running"),
        ("completed", "completed"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        ("reused", "completed without a stage being executed"),
    ),
)
PERMITS = View(
    "permits",
    "Units of limits: who held which, and when.",
    """
SELECT g.key AS limit_name, g.payload->>'$.holder' AS holder, (g.payload->>'$.grant')::INTEGER AS grant,
  (g.payload->>'$.capacity')::INTEGER AS capacity, g.occurred_at AS granted_at, r.occurred_at AS released_at
FROM events g
LEFT JOIN events r ON r.type = 'PermitReleased' AND NOT r.is_void AND r.key = g.key
  AND r.payload->>'$.holder' = g.payload->>'$.holder' AND r.payload->>'$.grant' = g.payload->>'$.grant'
WHERE g.type = 'PermitGranted' AND NOT g.is_void
""",
    (
        ("limit_name", "name of the limit"),
        ("holder", "who holds it: a run id"),
        ("grant", "how often this holder was granted it, from 1"),
        ("capacity", "how many may hold it at once"),
        ("granted_at", "UTC"),
        ("released_at", "UTC; null: it is held"),
    ),
)
WORKERS = View(
    "workers",
    "Workers, there or gone.",
    """
SELECT b.key AS worker_id, b.payload->>'$.host' AS host, (b.payload->>'$.pid')::BIGINT AS pid,
  (b.payload->>'$.slots')::INTEGER AS slots, b.payload->'$.queues' AS queues, b.occurred_at AS started_at,
  e.occurred_at AS stopped_at, e.payload->>'$.reason' AS reason
FROM events b
LEFT JOIN events e ON e.type = 'WorkerStopped' AND NOT e.is_void AND e.key = b.key
WHERE b.type = 'WorkerStarted' AND NOT b.is_void
""",
    (
        ("worker_id", "the worker"),
        ("host", "its host"),
        ("pid", "its process"),
        ("slots", "stages at once"),
        ("queues", "queues that it serves, JSON"),
        ("started_at", "UTC"),
        ("stopped_at", "UTC; null: it is there, or went without a word"),
        ("reason", "drained, stopped or gone"),
    ),
)
MARKS = View(
    "marks",
    "Names for positions.",
    """
SELECT key AS name, payload->>'$.position' AS position, occurred_at AS set_at, actor, event_id
FROM events WHERE type = 'MarkSet' AND NOT is_void
""",
    (
        ("name", "name of the mark"),
        ("position", "position as text"),
        ("set_at", "UTC"),
        ("actor", "who set it"),
        ("event_id", "the event, for citations"),
    ),
)

ACCOUNTING = View(
    "accounting",
    "What became of the records that were read: their sum is how many there were.",
    """
SELECT topic, sum(projected)::BIGINT AS projected, sum(void)::BIGINT AS void, sum(skipped)::BIGINT AS skipped,
  sum(dead)::BIGINT AS dead, sum(purged)::BIGINT AS purged
FROM positions GROUP BY topic
""",
    (
        ("topic", "topic"),
        ("projected", "they are in the tables"),
        ("void", "without effect: precondition failed, or a repeat"),
        ("skipped", "of a type that this version does not know"),
        ("dead", "could not be applied"),
        ("purged", "forgotten on request"),
    ),
)

VIEWS = (
    METRICS,
    METRICS_EFFECTIVE,
    PREDICTIONS,
    PREDICTIONS_EFFECTIVE,
    STAGE_SOURCES,
    RUN_METRICS,
    RUN_PREDICTIONS,
    COMMANDS,
    TARGETS,
    SUBMISSION_PROGRESS,
    *ANALYSIS_VIEWS,
    PERMITS,
    WORKERS,
    MARKS,
    ACCOUNTING,
    BUDGETS,
)
