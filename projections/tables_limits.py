"""Tables of what stops a submission: budgets and breakers."""

from __future__ import annotations

from crucible.projections.columns import EVENT_ID, Column, Spread, Table, View

_SUBMISSION_ID = Column("submission_id", "VARCHAR", "the submission")

BUDGET_LIMITS = Table(
    "budget_limits",
    "What submissions may use. Read it through budgets, which adds what they have used.",
    (
        _SUBMISSION_ID,
        Column("kind", "VARCHAR", "time_s, cost or runs"),
        Column("metric", "VARCHAR", "metric that the cost is the sum of"),
        Column("allowed", "DOUBLE", "what may be spent: seconds of work, the metric's unit, runs that start"),
        Column("is_changed", "BOOLEAN", "not as it was submitted, but changed since"),
        Column("status", "VARCHAR", "within or exceeded"),
        Column("spent_then", "DOUBLE", "what was spent when it was found exceeded"),
        Column("exceeded_at", "TIMESTAMP", "UTC"),
        EVENT_ID,
    ),
    Spread.WHOLE,
)

BREAKERS = Table(
    "breakers",
    "When failures stop a submission, and whether they have.",
    (
        _SUBMISSION_ID,
        Column("generation", "INTEGER", "generation of the submission; each begins with a closed breaker"),
        Column("window_runs", "INTEGER", "how many of the runs that ended last are looked at"),
        Column("allowed_rate", "DOUBLE", "share of them that may fail"),
        Column("min_runs", "INTEGER", "before so many have ended nothing is judged"),
        Column("status", "VARCHAR", "closed, or open: the submission was stopped"),
        Column("ended", "INTEGER", "runs that were looked at when it opened"),
        Column("failed", "INTEGER", "those of them that failed"),
        Column("opened_at", "TIMESTAMP", "UTC"),
        EVENT_ID,
    ),
    Spread.WHOLE,
)

BUDGETS = View(
    "budgets",
    "What submissions may use and have used, as of the records: what a live claim has done since its last one is not in"
    " it. Sums are exact: of microseconds, of starts, and of the metric in steps of 1e-12.",
    """
SELECT b.submission_id, b.kind, b.metric, b.allowed,
  CASE b.kind
    WHEN 'time_s' THEN (SELECT coalesce(sum(c.work_us), 0)::DOUBLE / 1e6
      FROM claims c JOIN runs r ON r.run_no = c.run_no WHERE r.submission_id = b.submission_id)
    WHEN 'runs' THEN (SELECT count(*)::DOUBLE FROM runs r
      WHERE r.submission_id = b.submission_id AND r.started_at IS NOT NULL AND r.scope = 'run')
    ELSE (SELECT sum(TRY_CAST(u.value AS DECIMAL(38, 12)))::DOUBLE FROM (
        SELECT r.submission_id, unnest(from_json(e.payload->'$.metrics', '[{"name":"VARCHAR","value":"DOUBLE"}]'),
          recursive := true)
        FROM events e JOIN runs r ON r.run_id = e.run_id WHERE e.type = 'StageCompleted' AND NOT e.is_void
      ) u WHERE u.submission_id = b.submission_id AND u.name = b.metric)
  END AS spent,
  b.is_changed, b.status, b.exceeded_at, b.event_id
FROM budget_limits b
""",
    (
        ("submission_id", "the submission"),
        ("kind", "time_s, cost or runs"),
        ("metric", "metric that the cost is the sum of"),
        ("allowed", "what may be spent"),
        ("spent", "what was spent, by attempts of every generation; null: not measured"),
        ("is_changed", "not as it was submitted, but changed since"),
        ("status", "within or exceeded"),
        ("exceeded_at", "UTC"),
        ("event_id", "the event, for citations"),
    ),
)

LIMIT_TABLES = (BUDGET_LIMITS, BREAKERS)
