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
WITH unplanned AS (
  SELECT r.submission_id, p.asked, count(DISTINCT s.run_id) AS runs
  FROM stages s
  JOIN runs r ON r.run_id = s.run_id AND r.scope = 'run'
  JOIN planned_tests p ON p.submission_id = r.submission_id
  LEFT JOIN runs o ON o.run_id = s.reused_run_id
  LEFT JOIN planned_tests q ON q.submission_id = o.submission_id AND q.asked = p.asked
  WHERE s.reused_run_id IS NOT NULL AND q.asked IS NULL
  GROUP BY r.submission_id, p.asked
)
SELECT t.*, r.ref AS analysis, r.label = '_experiment' AS is_of_experiment,
  CASE WHEN r.label = '_experiment' AND p.asked IS NOT NULL AND u.asked IS NULL THEN 'planned' ELSE 'exploratory'
  END AS standing,
  CASE WHEN r.label <> '_experiment' THEN 'it was asked for after the data'
    WHEN p.asked IS NULL THEN 'the definition does not declare it'
    WHEN u.asked IS NOT NULL THEN u.runs || ' runs reuse results from before it was declared'
    ELSE 'declared in the definition, whose digest the first record of the submission carries'
  END AS standing_reason,
  p.definition_digest, p.event_id AS definition_event_id
FROM tests t
JOIN runs r ON r.run_id = t.run_id
LEFT JOIN planned_tests p ON p.submission_id = t.submission_id AND p.stage = t.stage AND p.asked = t.asked
LEFT JOIN unplanned u ON u.submission_id = t.submission_id AND u.asked = t.asked
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
  SELECT submission_id, 1 AS source, place, metric, grouped_by, group_a, group_b, pairing, test, correction, estimate,
    low, high, p_adjusted, is_rejected, status
  FROM tests_newest WHERE is_of_experiment
  UNION ALL
  SELECT submission_id, 2, 0, metric, 'cell', label_a, label_b, pairing, 't_paired', correction, difference, low, high,
    p_adjusted, coalesce(p_adjusted <= 1 - level, false), status
  FROM comparisons_newest
)
SELECT n.submission_id, n.run_id, n.analysis, n.stage, n.place, n.metric, n.label, n.grouped_by, n.group_a, n.group_b,
  n.pairing, n.test, n.correction, n.estimate, n.low, n.high, n.p_adjusted, n.is_rejected,
  f.pairing AS first_pairing, f.test AS first_test, f.correction AS first_correction, f.estimate AS first_estimate,
  f.low AS first_low, f.high AS first_high, f.p_adjusted AS first_p_adjusted, f.is_rejected AS first_is_rejected,
  n.estimate - f.estimate AS estimate_change,
  CASE WHEN f.metric IS NULL THEN 'not compared before'
    WHEN n.status <> 'ok' AND f.status = 'ok' THEN 'can no longer be told'
    WHEN n.status = 'ok' AND f.status <> 'ok' THEN 'could not be told before'
    WHEN n.is_rejected AND NOT f.is_rejected THEN 'now shown'
    WHEN f.is_rejected AND NOT n.is_rejected THEN 'no longer shown'
    WHEN n.is_rejected AND n.estimate * f.estimate < 0 THEN 'the other way round'
    ELSE 'same conclusion' END AS change,
  n.event_id
FROM tests_newest n
LEFT JOIN firsts f ON f.submission_id = n.submission_id AND f.metric = n.metric AND f.grouped_by = n.grouped_by
  AND f.group_a IS NOT DISTINCT FROM n.group_a AND f.group_b IS NOT DISTINCT FROM n.group_b
WHERE NOT n.is_of_experiment
QUALIFY row_number() OVER (PARTITION BY n.run_id, n.stage, n.place
  ORDER BY f.source, f.pairing = n.pairing DESC, f.test = n.test DESC, f.place) = 1
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
