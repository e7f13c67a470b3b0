"""Declared tests in a report: a table, a forest plot and a sentence each, planned ones apart from exploratory ones."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crucible.numerals import decimals_of, written_p
from crucible.plural import plural
from crucible.projections.report.drawn_range import drawn, drawn_end, is_drawn
from crucible.projections.report.facts import Facts
from crucible.projections.report.ledger import Ledger, literal
from crucible.projections.report.model import Block, Column, Figure, Id, Items, Number, Paragraph, Table, Text
from crucible.projections.report.overview import interval_text, level_text

ROWS_MAX = 60
"""Tests of one family that are shown; the view ``tests_judged`` holds all."""
FOREST_MAX = 40
"""Tests of one forest plot."""
DIGEST_DIGITS = 12
NO_DIFFERENCE = ("mcnemar", "brunner_munzel")
"""Tests whose estimate is no difference in the unit of the metric: a forest plot leaves them out."""
_UNITS = {"repeat": " repeats", "item": " items", "item_and_repeat": " items and repeats", "none": " repeats, unpaired"}
_SHOWN = ("n", "estimate", "low", "high", "p", "p_adjusted", "effect", "effect_low", "effect_high")
_CHANGED = ("first_estimate", "first_low", "first_high", "first_p_adjusted", "estimate", "low", "high", "p_adjusted")

_P_VALUES = ("first_p_adjusted", "p_adjusted")


@dataclasses.dataclass(frozen=True, slots=True)
class Forest:
    """Differences with intervals, in the order of the tests, and the line of no difference."""

    metric: str
    unit: str | None
    better: str | None
    rows: tuple[tuple[str, float, float | None, float | None, bool], ...]
    """Label, estimate, low, high, whether it is shown after correction; an open end is None."""


def hypotheses(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    """The tests of the experiment's own analysis, then those that were asked for later and what differs."""
    families = ledger.records(
        "SELECT run_id, stage, analysis, family, correction, alpha, is_of_experiment, standing, standing_reason,"
        " any_value(definition_digest) AS definition_digest, any_value(definition_event_id) AS definition_event_id"
        f" FROM tests_newest WHERE submission_id = {facts.id}"
        " GROUP BY ALL ORDER BY is_of_experiment DESC, analysis, stage, min(place), standing DESC"
    )
    for place, family in enumerate(families):
        yield from _family(ledger, facts, family, place)
    later = ledger.records(
        f"SELECT DISTINCT run_id, analysis FROM tests_again WHERE submission_id = {facts.id}"
        " AND first_test IS NOT NULL ORDER BY analysis"
    )
    for place, run in enumerate(later):
        yield _changes(ledger, run, place)


def _family(ledger: Ledger, facts: Facts, family: Mapping[str, Any], place: int) -> Iterator[Block]:
    where = " AND ".join(f"{name} = {literal(family[name])}" for name in ("run_id", "stage", "family", "standing"))
    found = ledger.records(
        "SELECT place, label, metric, test, pairing, status, reason, level, ln_p, ln_p_adjusted, effect_name,"
        f" high - low AS width, effect_high - effect_low AS spread FROM tests_newest WHERE {where}"
        f" ORDER BY place LIMIT {ROWS_MAX}"
    )
    yield Paragraph(_standing(family))
    yield _table(ledger, family, where, found, place)
    for number, metric in enumerate(dict.fromkeys(row["metric"] for row in found)):
        yield from _forest(ledger, facts, where, metric, f"forest-{place}-{number}")
    yield Items(tuple((_only(ledger, f"conclusion of {row['label']}", "conclusion", where, row),) for row in found))


def _standing(family: Mapping[str, Any]) -> Text:
    name: Text = ("Family ", Id(family["family"]), " of ", Id(family["analysis"]), ". ")
    if family["standing"] == "planned":
        digest = family["definition_digest"]
        return (
            *name,
            "Planned: the definition declares these tests and their correction, and its digest ",
            Id(digest[:DIGEST_DIGITS], digest),
            " stands in the submission's first record, ",
            Id(family["definition_event_id"]),
            ", before any result.",
        )
    return (*name, f"Exploratory: {family['standing_reason']}.")


def _table(
    ledger: Ledger, family: Mapping[str, Any], where: str, found: Sequence[Mapping[str, Any]], place: int
) -> Table:
    decimals = decimals_of([None if row["width"] is None else row["width"] / 2 for row in found])
    of_effect = decimals_of([None if row["spread"] is None else row["spread"] / 2 for row in found])
    has_notes = any(row["status"] != "ok" for row in found)
    rows = []
    for row in found:
        key = f"{where} AND place = {row['place']}"
        sql = f"SELECT {', '.join(_SHOWN)}, event_id FROM tests_newest WHERE {key}"
        shown = dict.fromkeys(("estimate", "low", "high"), decimals)
        shown |= dict.fromkeys(("effect", "effect_low", "effect_high"), of_effect)
        texts = {
            "p": functools.partial(written_p, ln_p=row["ln_p"]),
            "p_adjusted": functools.partial(written_p, ln_p=row["ln_p_adjusted"]),
        }
        n, estimate, low, high, p, adjusted, effect, effect_low, effect_high = ledger.fields(
            f"{row['label']} by {row['metric']}, {row['test']}", sql, _SHOWN, decimals=shown, texts=texts
        )
        effect_text: Text = () if row["effect_name"] is None else (Id(row["effect_name"]), " ", effect)
        if effect_text and (effect_low.value is not None or effect_high.value is not None):
            effect_text = (*effect_text, *interval_text(effect_low, effect_high))
        cells: list[Text] = [(Id(row["label"]),), (Id(row["metric"]),), (Id(row["test"]),), (n, _UNITS[row["pairing"]])]
        cells += [(estimate, *_span(row, low, high)), (p,), (adjusted,), effect_text]
        if has_notes:
            cells.append((_only(ledger, f"note on {row['label']}", "reason", where, row),) if row["reason"] else ())
        rows.append(tuple(cells))
    columns = (
        Column("compared"),
        Column("metric"),
        Column("test"),
        Column("n", is_number=True),
        Column("estimate", is_number=True),
        Column("p", is_number=True),
        Column("p, corrected", is_number=True),
        Column("effect", is_number=True),
        *((Column("note"),) if has_notes else ()),
    )
    return Table(f"tests-{place}", _caption(ledger, family, where), columns, tuple(rows))


def _caption(ledger: Ledger, family: Mapping[str, Any], where: str) -> Text:
    of_family = f"FROM tests_newest WHERE {where} ORDER BY place"
    tests = ledger.number(f"tests of {family['family']}", "only", f"SELECT family_tests, event_id {of_family}")
    alpha = ledger.number(f"alpha of {family['family']}", "only", f"SELECT alpha, event_id {of_family}")
    with_level = f"FROM tests_newest WHERE {where} AND level IS NOT NULL ORDER BY place"
    level = ledger.number(
        f"level of {family['family']}", "only", f"SELECT level, event_id {with_level}", text=level_text
    )
    corrected: Text = (
        ("Not corrected. ",)
        if family["correction"] == "none"
        else (
            "p is corrected (",
            Id(family["correction"]),
            ") over ",
            tests,
            f" {plural(tests.value, 'test')}, at alpha ",
            alpha,
            ". ",
        )
    )
    if level.value is None:
        return corrected
    held = "Intervals at " if family["correction"] == "none" else "Intervals hold at once, each at "
    return (*corrected, held, level, "; first minus second.")


def _span(row: Mapping[str, Any], low: Number, high: Number) -> Text:
    """The interval of an estimate, also one that is open at an end."""
    if row["level"] is None:
        return ()
    if low.value is not None and high.value is not None:
        return interval_text(low, high)
    return (
        " [",
        *((low,) if low.value is not None else ("−∞",)),
        ", ",
        *((high,) if high.value is not None else ("∞",)),
        "]",
    )


def _forest(ledger: Ledger, facts: Facts, where: str, metric: str, id_: str) -> Iterator[Figure]:
    """The estimates of one metric that are differences, with their intervals."""
    left_out = ", ".join(map(literal, NO_DIFFERENCE))
    number = ledger.number(
        f"forest plot of {metric}",
        "crucible.statistics.bands.as_found",
        "SELECT label, estimate, CASE WHEN isfinite(low) THEN low END AS low,"
        " CASE WHEN isfinite(high) THEN high END AS high, is_rejected, event_id FROM tests_newest"
        f" WHERE {where} AND metric = {literal(metric)} AND test NOT IN ({left_out})"
        f" AND isfinite(estimate) AND level IS NOT NULL ORDER BY place LIMIT {FOREST_MAX}",
        text=lambda bands: f"{len(bands)} values",
    )
    rows = tuple(
        (label, drawn(estimate), _end(low), _end(high), is_rejected)
        for label, estimate, low, high, is_rejected in number.value
        if is_drawn(estimate)
    )
    if not rows:
        return
    known = facts.metrics.get(metric)
    drawing = Forest(metric, known.unit if known else None, known.better if known else None, rows)
    caption: Text = (
        Id(metric),
        ": differences with the intervals of the table. Filled: shown after correction; open: not shown.",
    )
    words = f"Forest plot of the differences in {metric}. The values are in the table of the tests."
    yield Figure(id_, caption, words, "forest", drawing, (number,))


def _end(value: float | None) -> float | None:
    """An end of an interval as it can be drawn; one that is infinite is open."""
    return None if value is None or not is_drawn(value) else drawn_end(value)


def _changes(ledger: Ledger, run: Mapping[str, Any], place: int) -> Table:
    """Later tests beside the first analysis."""
    where = f"run_id = {literal(run['run_id'])} AND first_test IS NOT NULL"
    found = ledger.records(
        "SELECT stage, place, label, metric, first_test, first_correction, test, correction, change,"
        f" first_high - first_low AS width FROM tests_again WHERE {where} ORDER BY stage, place LIMIT {ROWS_MAX}"
    )
    decimals = decimals_of([None if row["width"] is None else row["width"] / 2 for row in found])
    rows = []
    for row in found:
        key = f"{where} AND stage = {literal(row['stage'])} AND place = {row['place']}"
        sql = f"SELECT {', '.join(_CHANGED)}, event_id FROM tests_again WHERE {key}"
        first, first_low, first_high, first_p, now, low, high, p = ledger.fields(
            f"{row['label']} by {row['metric']}, analysed again",
            sql,
            _CHANGED,
            decimals=dict.fromkeys(set(_CHANGED) - set(_P_VALUES), decimals),
            texts=dict.fromkeys(_P_VALUES, written_p),
        )
        rows.append(
            (
                (Id(row["label"]),),
                (Id(row["metric"]),),
                (Id(f"{row['first_test']}, {row['first_correction']}"),),
                (first, *_both(first_low, first_high)),
                (first_p,),
                (Id(f"{row['test']}, {row['correction']}"),),
                (now, *_both(low, high)),
                (p,),
                (row["change"],),
            )
        )
    columns = (
        Column("compared"),
        Column("metric"),
        Column("first analysis"),
        Column("estimate", is_number=True),
        Column("p, corrected", is_number=True),
        Column("again"),
        Column("estimate", is_number=True),
        Column("p, corrected", is_number=True),
        Column("conclusion"),
    )
    caption: Text = (Id(run["analysis"]), " beside the experiment's own analysis.")
    return Table(f"again-{place}", caption, columns, tuple(rows))


def _both(low: Number, high: Number) -> Text:
    return interval_text(low, high) if low.value is not None and high.value is not None else ()


def _only(ledger: Ledger, label: str, column: str, where: str, row: Mapping[str, Any]) -> Number:
    sql = f"SELECT {column}, event_id FROM tests_newest WHERE {where} AND place = {row['place']}"
    return ledger.number(label, "only", sql)
