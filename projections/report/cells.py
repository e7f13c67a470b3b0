"""Tables of cells: every cell with its intervals, and comparisons of cells where an analysis has made them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from crucible.numerals import decimals_of
from crucible.projections.report.facts import Cell, Facts, Metric, values_of
from crucible.projections.report.ledger import Bulk, Ledger, literal
from crucible.projections.report.model import Block, Column, Id, Number, Table, Text
from crucible.projections.report.overview import RUN_ENDS, interval_text, level_number
from crucible.statistics.intervals import LEVEL
from crucible.statistics.readings import over_repeats

METRICS_IN_TABLE_MAX = 3
"""Metrics side by side; the others follow in tables of their own."""


def cell_tables(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    """Every cell: its parameters, what was measured with intervals, over how many repeats, and what failed."""
    ordered = [metric for metric in facts.metrics.values() if is_shown(facts, metric)]
    for start in range(0, len(ordered), METRICS_IN_TABLE_MAX):
        yield _cell_table(ledger, facts, ordered[start : start + METRICS_IN_TABLE_MAX], start // METRICS_IN_TABLE_MAX)


def is_shown(facts: Facts, metric: Metric) -> bool:
    """Whether a metric is one of the results of the experiment; the others are in ``runs.csv``."""
    if metric.name in {facts.select, *facts.targets}:
        return True
    return metric.kind != "timing" and (metric.is_result or metric.better is not None)


def parameter_numbers(ledger: Ledger, facts: Facts, name: str) -> Bulk:
    """The value of a parameter by cell: rows of (as a number, as text, event_id)."""
    return ledger.bulk(
        select="p.number, p.value, e.event_id",
        of=f"FROM runs r JOIN params p ON p.run_id = r.run_id AND p.name = {literal(name)}"
        " LEFT JOIN events e ON e.key = r.run_id AND e.type = 'RunCreated' AND NOT e.is_void"
        f" WHERE {facts.where}",
        order="r.cell_index, r.repeat, e.event_id",
        column="r.cell_index",
    )


def _cell_table(ledger: Ledger, facts: Facts, metrics: Sequence[Metric], place: int) -> Table:
    parameters = {name: parameter_numbers(ledger, facts, name) for name in facts.varied}
    values = [(metric, values_of(ledger, facts, metric)) for metric in metrics]
    decimals = {metric.name: _decimals(facts, bulk) for metric, bulk in values}
    failed = ledger.bulk(
        select="r.run_id, e.event_id",
        of="FROM runs r LEFT JOIN events e ON e.key = r.run_id"
        f" AND e.type IN {RUN_ENDS} AND NOT e.is_void WHERE {facts.where} AND r.status = 'failed'",
        order="r.cell_index, r.repeat, e.event_id",
        column="r.cell_index",
    )
    rows = []
    for index, cell in facts.cells.items():
        row: list[Text] = [(Id(cell.name),)]
        row += [
            (ledger.number(f"{facts.short(name)} of {cell.name}", "parameter", (bulk, index)),)
            for name, bulk in parameters.items()
        ]
        for metric, bulk in values:
            row += _measured(ledger, facts, cell, (metric, bulk, decimals[metric.name]))
        row.append((ledger.number(f"failed runs of {cell.name}", "distinct", (failed, index)),))
        rows.append(tuple(row))
    columns = [Column("cell"), *(Column(facts.short(name), is_number=True) for name in facts.varied)]
    for metric in metrics:
        columns += [Column(_heading(metric), is_number=True, unit=metric.unit or ""), Column("n", is_number=True)]
    columns.append(Column("failed", is_number=True))
    caption: Text = ("Mean over repeats with Student's t interval at ", level_number(ledger), ".")
    if any(not metric.is_result for metric in metrics):
        caption = (
            *caption,
            " Of a metric that is logged and not returned, the last effective point of each run counts.",
        )
    chosen = frozenset(place for place, index in enumerate(facts.cells) if index == facts.selected)
    chosen = chosen if len(facts.cells) > 1 else frozenset()
    if chosen:
        caption = (*caption, " The selected cell stands out.")
    return Table(f"cells-{'abcdefghijklmnopqrstuvwxyz'[place % 26]}", caption, tuple(columns), tuple(rows), chosen)


def _heading(metric: Metric) -> str:
    arrow = {"higher": " ↑", "lower": " ↓"}.get(metric.better or "", "")
    return f"{metric.name}{arrow}"


def _decimals(facts: Facts, bulk: Bulk) -> int | None:
    halves = []
    for index in facts.cells:
        interval = over_repeats([row[:-1] for row in bulk.rows(index)])
        if interval is not None and interval.low is not None and interval.high is not None:
            halves.append((interval.high - interval.low) / 2)
    return decimals_of(halves)


def _measured(ledger: Ledger, facts: Facts, cell: Cell, column: tuple[Metric, Bulk, int | None]) -> list[Text]:
    """The cells of a metric: mean with interval, and over how many repeats."""
    metric, bulk, decimals = column
    name = f"{metric.name} of {cell.name}"
    marks = facts.marks_of(cell.index, metric.name)
    bounds = {"level": LEVEL, "floor": metric.low, "ceiling": metric.high}

    def number(label: str, function: str, parameters: dict[str, float | None] | None = None) -> Number:
        source = (bulk, cell.index)
        form: dict[str, Any] = {"unit": metric.unit, "decimals": decimals, "marks": marks}
        return ledger.number(label, function, source, **form, parameters=parameters)

    value = number(f"mean {name}", "mean")
    low = number(f"{name}, lower end", "interval_low", bounds)
    high = number(f"{name}, upper end", "interval_high", bounds)
    n = ledger.number(f"{name}, repeats", "measured", (bulk, cell.index), marks=marks)
    return [(value, *interval_text(low, high)), (n,)]
