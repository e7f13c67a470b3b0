"""What an analysis of the whole grid has found: cells compared with the selected one, and cells in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crucible.numerals import decimals_of
from crucible.projections.report.facts import Facts
from crucible.projections.report.ledger import Ledger, literal
from crucible.projections.report.model import Block, Column, Id, Paragraph, Table, Text
from crucible.projections.report.overview import interval_text, level_text

ROWS_MAX = 60
"""Rows of one table: comparisons with the selected cell come first."""
_COMPARED = ("n", "mean_a", "mean_b", "difference", "low", "high", "p_adjusted", "effect", "effect_low", "effect_high")
_RANKED = ("n", "mean", "low", "high", "p_best", "resamples")


def comparison_tables(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    """For each metric and pairing the comparisons with the selected cell, then the ranking."""
    families = ledger.records(
        "SELECT DISTINCT metric, pairing, correction, family, effect_name, level FROM comparisons_newest"
        f" WHERE submission_id = {facts.id} ORDER BY ALL"
    )
    for place, family in enumerate(families):
        yield from _comparisons(ledger, facts, family, place)
    for place, row in enumerate(
        ledger.records(
            f"SELECT DISTINCT metric, level FROM rankings_newest WHERE submission_id = {facts.id} ORDER BY ALL"
        )
    ):
        yield _ranking(ledger, facts, row, place)


def _comparisons(ledger: Ledger, facts: Facts, family: dict[str, Any], place: int) -> Iterator[Block]:
    metric, pairing = family["metric"], family["pairing"]
    where = f"submission_id = {facts.id} AND metric = {literal(metric)} AND pairing = {literal(pairing)}"
    chosen = "true" if facts.selected is None else f"{facts.selected} IN (cell_a, cell_b)"
    found = ledger.records(
        "SELECT cell_a, label_a, cell_b, label_b, method, status, high - low AS width,"
        " effect_high - effect_low AS spread"
        f" FROM comparisons_newest WHERE {where} AND {chosen} ORDER BY cell_a, cell_b LIMIT {ROWS_MAX}"
    )
    if not found:
        return
    decimals = decimals_of([None if row["width"] is None else row["width"] / 2 for row in found])
    of_effect = decimals_of([None if row["spread"] is None else row["spread"] / 2 for row in found])
    has_notes = any(row["status"] != "ok" for row in found)
    rows = []
    for row in found:
        key = f"{where} AND cell_a = {row['cell_a']} AND cell_b = {row['cell_b']}"
        sql = f"SELECT {', '.join(_COMPARED)}, event_id FROM comparisons_newest WHERE {key}"
        name = f"{metric} of {row['label_a']} and {row['label_b']} by {pairing}"
        shown = dict.fromkeys(("mean_a", "mean_b", "difference", "low", "high"), decimals)
        shown |= dict.fromkeys(("effect", "effect_low", "effect_high"), of_effect)
        n, mean_a, mean_b, difference, low, high, p, effect, effect_low, effect_high = ledger.fields(
            name, sql, _COMPARED, decimals=shown
        )
        cells: list[Text] = [(Id(row["label_a"]),), (Id(row["label_b"]),), (n,), (mean_a,), (mean_b,)]
        cells += [(difference, *interval_text(low, high)), (p,), (effect, *interval_text(effect_low, effect_high))]
        if has_notes:
            reason = f"SELECT reason, event_id FROM comparisons_newest WHERE {key}"
            cells.append((ledger.number(f"{name}: note", "only", reason),) if row["status"] != "ok" else ())
        rows.append(tuple(cells))
    columns = (
        Column("first"),
        Column("second"),
        Column("n", is_number=True),
        Column("mean of first", is_number=True),
        Column("mean of second", is_number=True),
        Column("first − second", is_number=True),
        Column("p, corrected", is_number=True),
        Column(family["effect_name"] or "effect", is_number=True),
        *((Column("note"),) if has_notes else ()),
    )
    of_family = f"FROM comparisons_newest WHERE {where} ORDER BY cell_a, cell_b"
    tests = ledger.number(f"tests of {metric} by {pairing}", "only", f"SELECT family, event_id {of_family}")
    level = ledger.number(
        f"level of {metric} by {pairing}", "only", f"SELECT level, event_id {of_family}", text=level_text
    )
    caption: Text = (
        Id(metric),
        f": cells compared in pairs by {pairing}, with the selected cell where there is one. p is two-sided and",
        f" corrected ({family['correction']}) over ",
        tests,
        " tests; intervals at ",
        level,
        ".",
    )
    yield Table(f"comparisons-{_letter(place)}", caption, columns, tuple(rows))
    methods = sorted({row["method"] for row in found if row["method"]})
    if methods:
        quote = ledger.number(
            f"methods of {metric} by {pairing}", "only", f"SELECT DISTINCT method, event_id {_methods(where)}"
        )
        yield Paragraph(("Method: ", quote, "."))


def _methods(where: str) -> str:
    return f"FROM comparisons_newest WHERE {where} AND method IS NOT NULL ORDER BY ALL"


def _ranking(ledger: Ledger, facts: Facts, head: dict[str, Any], place: int) -> Table:
    metric = head["metric"]
    where = f"submission_id = {facts.id} AND metric = {literal(metric)}"
    found = ledger.records(
        f"SELECT cell_index, label, p_best, high - low AS width FROM rankings_newest WHERE {where}"
        f" ORDER BY p_best DESC NULLS LAST, cell_index LIMIT {ROWS_MAX}"
    )
    decimals = decimals_of([None if row["width"] is None else row["width"] / 2 for row in found])
    rows = []
    for row in found:
        sql = (
            f"SELECT {', '.join(_RANKED)}, event_id FROM rankings_newest"
            f" WHERE {where} AND cell_index = {row['cell_index']}"
        )
        name = f"rank of {row['label']} by {metric}"
        shown = dict.fromkeys(("mean", "low", "high"), decimals)
        n, mean, low, high, best, resamples = ledger.fields(name, sql, _RANKED, decimals=shown)
        cells: list[Text] = [(Id(row["label"] or "the only cell"),), (n,), (mean, *interval_text(low, high))]
        rows.append((*cells, (best,), (resamples,)))
    columns = (
        Column("cell"),
        Column("n", is_number=True),
        Column("mean", is_number=True),
        Column("P(best)", is_number=True),
        Column("resamples", is_number=True),
    )
    caption: Text = (Id(metric), ": how often each cell is the best when repeats are resampled.")
    chosen = frozenset(i for i, row in enumerate(found) if row["cell_index"] == facts.selected)
    return Table(f"ranking-{_letter(place)}", caption, columns, tuple(rows), chosen)


def _letter(place: int) -> str:
    return chr(ord("a") + place % 26)
