"""Views of what analyses found: the newest of each submission, and which tests were planned before there was data."""

from __future__ import annotations

from crucible.projections.columns import View
from crucible.projections.tables_analysis import COMPARISONS, RANKINGS, TESTS

_NEWEST_ANALYSIS = """
SELECT f.* FROM {table} f
JOIN (SELECT submission_id, arg_max(run_id, repeat) AS newest FROM runs
  WHERE scope = 'experiment' AND label = '_experiment' GROUP BY submission_id) a ON a.newest = f.run_id
"""
COMPARISONS_NEWEST = View(
    "comparisons_newest",
    "The comparisons of each submission's newest analysis; none while that runs, or if it failed.",
    _NEWEST_ANALYSIS.format(table="comparisons"),
    tuple((column.name, column.text) for column in COMPARISONS.columns),
)
RANKINGS_NEWEST = View(
    "rankings_newest",
    "The rankings of each submission's newest analysis; none while that runs, or if it failed.",
    _NEWEST_ANALYSIS.format(table="rankings"),
    tuple((column.name, column.text) for column in RANKINGS.columns),
)
TESTS_JUDGED = View(
    "tests_judged",
    "Tests of completed analyses with their standing: planned, or exploratory.",
    """
WITH plan AS (
  SELECT DISTINCT submission_id, stage, asked, family_digest, definition_digest, event_id FROM planned_tests
), known AS (
  SELECT r.submission_id, r.run_id, o.submission_id AS earlier
  FROM runs r JOIN runs o ON o.experiment = r.experiment AND o.cell_id = r.cell_id AND o.repeat = r.repeat
    AND o.seed = r.seed AND o.number < r.number
  WHERE r.scope = 'run' AND o.scope = 'run' AND o.status = 'completed'
  UNION
  SELECT r.submission_id, r.run_id, o.submission_id
  FROM stages s JOIN runs r ON r.run_id = s.run_id JOIN runs o ON o.run_id = s.reused_run_id
  WHERE r.scope = 'run' AND s.reused_run_id IS NOT NULL
), unplanned AS (
  SELECT k.submission_id, p.asked, p.stage, count(DISTINCT k.run_id) AS runs
  FROM known k
  JOIN plan p ON p.submission_id = k.submission_id
  LEFT JOIN plan q ON q.submission_id = k.earlier AND q.asked = p.asked AND q.family_digest = p.family_digest
  WHERE q.asked IS NULL
  GROUP BY k.submission_id, p.asked, p.stage
), grown AS (
  SELECT k.submission_id, count(DISTINCT k.run_id) AS known_runs, any_value(s.run_count) AS run_count
  FROM known k JOIN submissions s ON s.submission_id = k.submission_id
  GROUP BY k.submission_id HAVING count(DISTINCT k.run_id) < any_value(s.run_count)
)
SELECT t.*, r.ref AS analysis, r.label = '_experiment' AS is_of_experiment,
  CASE WHEN r.label = '_experiment' AND p.asked IS NOT NULL AND u.asked IS NULL AND g.submission_id IS NULL
    THEN 'planned' ELSE 'exploratory' END AS standing,
  CASE WHEN r.label <> '_experiment' THEN 'it was asked for after the data'
    WHEN p.asked IS NULL THEN 'the definition does not declare it'
    WHEN u.asked IS NOT NULL THEN u.runs || ' runs have results from before it was declared with this family'
    WHEN g.submission_id IS NOT NULL THEN 'the grid grew after there was data: ' || g.known_runs || ' of '
      || g.run_count || ' runs had results before'
    ELSE 'declared in the definition, whose digest the first record of the submission carries'
  END AS standing_reason,
  p.definition_digest, p.event_id AS definition_event_id
FROM tests t
JOIN runs r ON r.run_id = t.run_id
LEFT JOIN plan p ON p.submission_id = t.submission_id AND p.stage = t.stage AND p.asked = t.asked
LEFT JOIN unplanned u ON u.submission_id = t.submission_id AND u.asked = t.asked AND u.stage = t.stage
LEFT JOIN grown g ON g.submission_id = t.submission_id
""",
    (
        *((column.name, column.text) for column in TESTS.columns),
        ("analysis", "what people write for the run that made it"),
        ("is_of_experiment", "it was made by the experiment's own analysis, and not asked for later"),
        ("standing", "planned: declared before the data; else exploratory"),
        ("standing_reason", "why, in words"),
        ("definition_digest", "SHA-256 of the definition that declares it; null: none does"),
        ("definition_event_id", "the submission's first record, which carries that digest"),
    ),
)
TESTS_NEWEST = View(
    "tests_newest",
    "The tests of each submission's newest analysis of its own, and of every analysis that was asked for later.",
    """
SELECT t.* FROM tests_judged t
LEFT JOIN (SELECT submission_id, arg_max(run_id, repeat) AS newest FROM runs
  WHERE scope = 'experiment' AND label = '_experiment' GROUP BY submission_id) a ON a.submission_id = t.submission_id
WHERE NOT t.is_of_experiment OR a.newest = t.run_id
""",
    TESTS_JUDGED.columns,
)

TESTS_AGAIN = View(
    "tests_again",
    "Tests that were asked for later, each beside the same comparison in the experiment's own analysis.",
    """
WITH firsts AS (
  SELECT submission_id, 1 AS source, place, metric, grouped_by, group_a, group_b, pairing, test, correction,
    alternative, estimate, low, high, p_adjusted, is_rejected, status, (result->>'$.null')::DOUBLE AS null_value
  FROM tests_newest WHERE is_of_experiment
  UNION ALL
  SELECT submission_id, 2, 0, metric, 'cell', label_a, label_b, pairing, 't_paired', correction, 'two-sided',
    difference, low, high, p_adjusted, coalesce(p_adjusted <= 1 - level, false), status, 0.0
  FROM comparisons_newest
), both_ways AS (
  SELECT *, false AS is_turned FROM firsts
  UNION ALL
  SELECT * REPLACE (group_b AS group_a, group_a AS group_b,
      CASE WHEN test IN ('mcnemar', 'brunner_munzel') THEN NULL ELSE -estimate END AS estimate,
      CASE WHEN test IN ('mcnemar', 'brunner_munzel') THEN NULL ELSE -high END AS low,
      CASE WHEN test IN ('mcnemar', 'brunner_munzel') THEN NULL ELSE -low END AS high,
      CASE alternative WHEN 'less' THEN 'greater' WHEN 'greater' THEN 'less' ELSE alternative END AS alternative),
    true FROM firsts WHERE group_a IS NOT NULL
)
SELECT n.submission_id, n.run_id, n.analysis, n.stage, n.place, n.metric, n.label, n.grouped_by, n.group_a, n.group_b,
  n.pairing, n.test, n.correction, n.estimate, n.low, n.high, n.p_adjusted, n.is_rejected,
  f.pairing AS first_pairing, f.test AS first_test, f.correction AS first_correction, f.estimate AS first_estimate,
  f.low AS first_low, f.high AS first_high, f.p_adjusted AS first_p_adjusted, f.is_rejected AS first_is_rejected,
  n.estimate - f.estimate AS estimate_change,
  CASE WHEN f.metric IS NULL THEN 'not compared before'
    WHEN (n.test = 'tost') <> (f.test = 'tost') OR n.alternative <> f.alternative THEN 'another question'
    WHEN n.status <> 'ok' AND f.status = 'ok' THEN 'can no longer be told'
    WHEN n.status = 'ok' AND f.status <> 'ok' THEN 'could not be told before'
    WHEN n.is_rejected AND NOT f.is_rejected THEN 'now shown'
    WHEN f.is_rejected AND NOT n.is_rejected THEN 'no longer shown'
    WHEN n.is_rejected
      AND sign(n.estimate - (n.result->>'$.null')::DOUBLE) * sign(f.estimate - f.null_value) < 0
      THEN 'the other way round'
    ELSE 'same conclusion' END AS change,
  n.event_id
FROM tests_newest n
LEFT JOIN both_ways f ON f.submission_id = n.submission_id AND f.metric = n.metric AND f.grouped_by = n.grouped_by
  AND f.group_a IS NOT DISTINCT FROM n.group_a AND f.group_b IS NOT DISTINCT FROM n.group_b
WHERE NOT n.is_of_experiment
QUALIFY row_number() OVER (PARTITION BY n.run_id, n.stage, n.place
  ORDER BY f.source, f.pairing = n.pairing DESC, f.test = n.test DESC, f.is_turned, f.place) = 1
""",
    (
        ("submission_id", "the submission"),
        ("run_id", "run that made the later test"),
        ("analysis", "what people write for it"),
        ("stage", "its stage"),
        ("place", "order within the stage, from 1"),
        ("metric", "metric"),
        ("label", "what is compared"),
        ("grouped_by", "parameters whose values make the groups, or cell"),
        ("group_a", "first group"),
        ("group_b", "second group"),
        ("pairing", "unit of pairing"),
        ("test", "kind of test"),
        ("correction", "correction of its family"),
        ("estimate", "estimate"),
        ("low", "lower end of its interval"),
        ("high", "upper end of it"),
        ("p_adjusted", "corrected p value"),
        ("is_rejected", "it is at most alpha"),
        ("first_pairing", "unit of pairing of the first analysis; null: it compared something else"),
        ("first_test", "its kind of test"),
        ("first_correction", "its correction"),
        ("first_estimate", "its estimate"),
        ("first_low", "lower end of its interval"),
        ("first_high", "upper end of it"),
        ("first_p_adjusted", "its corrected p value"),
        ("first_is_rejected", "whether it was at most alpha"),
        ("estimate_change", "later estimate minus the first one; they may estimate different things"),
        ("change", "what became of the conclusion"),
        ("event_id", "the event of the later test, for citations"),
    ),
)

ANALYSIS_VIEWS = (COMPARISONS_NEWEST, RANKINGS_NEWEST, TESTS_JUDGED, TESTS_NEWEST, TESTS_AGAIN)
