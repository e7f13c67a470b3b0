"""The top of a submission's report: what was run, whether the targets are met, and what the grid says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crucible.numerals import NOT_MEASURED, decimals_of, percent
from crucible.plural import plural
from crucible.projections.report.facts import Facts, values_of
from crucible.projections.report.ledger import Ledger, literal
from crucible.projections.report.model import Block, Column, Id, Items, Moment, Number, Paragraph, Part, Table, Text
from crucible.statistics.intervals import LEVEL

TONES = {"met": "good", "missed": "bad", "undecided": "open", "unmeasured": "open"}
RUN_ENDS = "('RunCompleted', 'RunFailed', 'RunCanceled')"


def head(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    """What was asked and how far it came, then one sentence for each verdict on the selected cell."""
    row = facts.row
    if description := ledger_text(ledger, "description", facts, "definition->>'$.description'"):
        yield Paragraph((description,))
    yield Paragraph(_what_ran(ledger, facts))
    told = [verdict for verdict in _verdict_rows(ledger, facts) if verdict["is_selected"] or facts.selected is None]
    for verdict in told:
        tone = TONES.get(verdict["status"], "plain")
        yield Paragraph(_sentence(ledger, facts, verdict), tone)  # type: ignore[arg-type]
    if row["closed_at"] is None:
        yield Paragraph(("Not every run has ended: this is how far it is at the position of this report.",), "open")
    elif not facts.targets:
        yield Paragraph(("The experiment declares no quality target.",))
    for problem in ledger.records(
        f"SELECT problem FROM judgements WHERE submission_id = {facts.id} AND problem IS NOT NULL LIMIT 1"
    ):
        del problem
        quote = ledger.number(
            "problem of the judgement",
            "only",
            f"SELECT problem FROM judgements WHERE submission_id = {facts.id} AND problem IS NOT NULL LIMIT 1",
        )
        yield Paragraph(("It could not be judged: ", quote), "bad")


def ledger_text(ledger: Ledger, label: str, facts: Facts, column: str) -> Number | None:
    """What someone wrote in a submission, as a quotation with its source; None if it is empty."""
    quote = ledger.number(
        label, "only", f"SELECT {column} AS said, event_id FROM submissions WHERE submission_id = {facts.id}"
    )
    return quote if quote.value else None


def interval_text(low: Number, high: Number) -> Text:
    """``[low, high]``, or nothing where there is none."""
    return () if low.value is None or high.value is None else (" [", low, ", ", high, "]")


def verdicts(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    """A table with a row for each target and cell that was judged."""
    found = _verdict_rows(ledger, facts)
    if not found:
        return
    level = level_number(ledger)
    rows = []
    for verdict in found:
        bounds = _bound(ledger, facts, verdict["metric"])
        value, low, high, n = _judged(ledger, facts, verdict)
        rows.append(
            (
                (Id(verdict["metric"]),),
                bounds,
                _cell_text(facts, verdict),
                (verdict["status"],),
                (value,),
                interval_text(low, high)[1:] and ("[", low, ", ", high, "]"),
                (n,),
                (_method(verdict["method"]),),
            )
        )
    columns = (
        Column("metric"),
        Column("target"),
        Column("cell"),
        Column("verdict"),
        Column("mean", is_number=True),
        Column("interval", is_number=True),
        Column("n", is_number=True),
        Column("method"),
    )
    caption: Text = (
        "Quality targets. A target is met if the whole two-sided ",
        level,
        " interval lies inside it, missed if the whole interval lies outside, and else undecided.",
    )
    chosen = frozenset(i for i, verdict in enumerate(found) if verdict["is_selected"])
    yield Table("verdicts-table", caption, columns, tuple(rows), chosen if len(found) > len(chosen) else frozenset())


def findings(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    """What the grid says, each sentence as the function that found it says it from the runs' values."""
    metric = facts.metrics.get(facts.row["select_metric"] or "")
    if facts.generation is None or metric is None:
        return
    kept = ledger.records(
        f"SELECT number FROM findings WHERE submission_id = {facts.id} AND generation = {facts.generation}"
        " ORDER BY number"
    )
    source = values_of(ledger, facts, metric).whole("r.cell_index, r.label, r.params::VARCHAR AS params, r.status, ")
    told: list[Text] = []
    for row in kept:
        sentence = ledger.number(
            f"finding {row['number']}",
            "crucible.statistics.retold.finding",
            source,
            parameters={
                "metric": metric.name,
                "better": metric.better,
                "margin": facts.row["margin"],
                "number": row["number"],
            },
        )
        told.append((sentence,))
    if told:
        yield Items(tuple(told))


def level_text(level: float | None) -> str:
    """A confidence level in percent, if there is one."""
    return NOT_MEASURED if level is None else percent(level)


def level_number(ledger: Ledger) -> Number:
    """The confidence level of every interval."""
    return ledger.number("confidence level", "only", f"SELECT {LEVEL!r}::DOUBLE AS level", text=percent)


def _what_ran(ledger: Ledger, facts: Facts) -> Text:
    row = facts.row
    ends = f"LEFT JOIN events e ON e.key = r.run_id AND e.type IN {RUN_ENDS} AND NOT e.is_void"
    created = "LEFT JOIN events e ON e.key = r.run_id AND e.type = 'RunCreated' AND NOT e.is_void"
    where = f"WHERE {facts.where}"
    runs = ledger.number("runs", "distinct", f"SELECT r.run_id, e.event_id FROM runs r {created} {where} ORDER BY ALL")
    cells = ledger.number(
        "cells", "distinct", f"SELECT r.cell_index, e.event_id FROM runs r {created} {where} ORDER BY ALL"
    )
    repeats = ledger.number(
        "repeats of each cell", "only", f"SELECT repeats, event_id FROM submissions WHERE submission_id = {facts.id}"
    )
    parts: list[Part] = [runs, f" {plural(runs.value, 'run')} of ", cells, f" {plural(cells.value, 'cell')} with "]
    parts += [repeats, f" {plural(repeats.value, 'repeat')}{plural(cells.value, '', ' each')}, submitted "]
    parts += [Moment(_iso(row["submitted_at"])), ": "]
    counts = ledger.records(f"SELECT DISTINCT r.status FROM runs r {where} ORDER BY 1")
    for place, status in enumerate(record["status"] for record in counts):
        number = ledger.number(
            f"runs {status}",
            "distinct",
            f"SELECT r.run_id, e.event_id FROM runs r {ends} {where} AND r.status = {literal(status)} ORDER BY ALL",
        )
        parts += [", " if place else "", number, f" {status}"]
    return (*parts, ".")


def _iso(moment: Any) -> str | None:
    return None if moment is None else f"{moment.isoformat(timespec='seconds')}Z"


def _verdict_rows(ledger: Ledger, facts: Facts) -> list[dict[str, Any]]:
    if facts.generation is None:
        return []
    return ledger.records(
        f"SELECT * FROM verdicts WHERE submission_id = {facts.id} AND generation = {facts.generation}"
        " ORDER BY metric, cell_index"
    )


def _sentence(ledger: Ledger, facts: Facts, verdict: Mapping[str, Any]) -> Text:
    start: Text = (Id(verdict["metric"]), " ", *_bound(ledger, facts, verdict["metric"]), f" is {verdict['status']}")
    if verdict["cell_index"] is None:
        return (*start, ": no cell has the selected metric measured in every repeat.")
    value, low, high, n = _judged(ledger, facts, verdict)
    cell = facts.cells[verdict["cell_index"]]
    over = plural(n.value, "item" if _is_over_items(verdict["method"]) else "repeat")
    return (*start, " for ", Id(cell.name), ": ", value, *interval_text(low, high), ", over ", n, f" {over}.")


def _bound(ledger: Ledger, facts: Facts, metric: str) -> Text:
    parts: list[Part] = []
    for column, sign in (("at_least", "≥ "), ("at_most", "≤ ")):
        number = ledger.number(
            f"target of {metric}: {column}",
            "only",
            f"SELECT t.{column}, s.event_id FROM declared_targets t JOIN submissions s ON s.submission_id ="
            f" t.submission_id WHERE t.submission_id = {facts.id} AND t.metric = {literal(metric)}",
        )
        if number.value is not None:
            parts += [" and " if parts else "", sign, number]
    return tuple(part for part in parts if part != "")


def _judged(ledger: Ledger, facts: Facts, verdict: Mapping[str, Any]) -> tuple[Number, Number, Number, Number]:
    """Mean, ends of the interval, and over how many."""
    metric = facts.metrics.get(verdict["metric"])
    index = verdict["cell_index"]
    if metric is None or index is None:
        name = literal(verdict["metric"])
        sql = (
            "SELECT m.value, m.event_id FROM result_metrics m JOIN runs r ON r.run_id = m.run_id"
            f" WHERE m.name = {name} AND m.value IS NOT NULL AND {facts.where} ORDER BY ALL"
        )
        none = ledger.number(f"{verdict['metric']}", "mean", sql)
        return none, none, none, ledger.number(f"{verdict['metric']}: n", "count", sql)
    name = f"{metric.name} of {facts.cells[index].name}"
    half = None if verdict["low"] is None else (verdict["high"] - verdict["low"]) / 2
    shown: dict[str, Any] = {
        "decimals": decimals_of([half]),
        "unit": metric.unit,
        "marks": facts.marks_of(index, metric.name),
    }
    bounds = {"level": verdict["level"], "floor": metric.low, "ceiling": metric.high}
    if _is_over_items(verdict["method"]):
        items = _item_scores(facts, index, metric.name)
        return (
            ledger.number(f"mean {name}", "item_mean", items, **shown),
            ledger.number(f"{name}, lower end", "item_low", items, **shown, parameters=bounds),
            ledger.number(f"{name}, upper end", "item_high", items, **shown, parameters=bounds),
            ledger.number(f"{name}, items", "count", items),
        )
    values = (values_of(ledger, facts, metric), index)
    return (
        ledger.number(f"mean {name}", "mean", values, **shown),
        ledger.number(f"{name}, lower end", "interval_low", values, **shown, parameters=bounds),
        ledger.number(f"{name}, upper end", "interval_high", values, **shown, parameters=bounds),
        ledger.number(f"{name}, repeats", "measured", values),
    )


def _item_scores(facts: Facts, index: int, metric: str) -> str:
    """The scores of the items of the only run of a cell."""
    return (
        "SELECT p.item_id, p.score, t.event_id FROM runs r"
        f" JOIN metric_declarations d ON d.submission_id = r.submission_id AND d.name = {literal(metric)}"
        f" JOIN run_predictions p ON p.run_id = r.run_id AND p.stage = d.stage AND p.split = d.mean_of"
        " JOIN spools s ON s.spool_id = p.spool_id"
        " JOIN telemetry_records t ON t.spool_no = s.spool_no AND t.type = 'PredictionBatch' AND t.taken > 0"
        " AND p.sequence >= t.first_sequence + t.entries - t.taken AND p.sequence < t.first_sequence + t.entries"
        f" WHERE {facts.where} AND r.cell_index = {index} AND p.score IS NOT NULL"
        " ORDER BY p.spool_id, p.sequence"
    )


def _is_over_items(method: str) -> bool:
    return method.endswith(("items", "item: no interval"))


def _method(method: str) -> str:
    """The name of a method without its count, which stands beside it."""
    name, over, what = method.partition(" over ")
    return f"{name} over {what.rpartition(' ')[2]}" if over else "none"


def _cell_text(facts: Facts, verdict: Mapping[str, Any]) -> Text:
    if verdict["cell_index"] is None:
        return ("none",)
    cell = Id(facts.cells[verdict["cell_index"]].name)
    return (cell, " (selected)") if verdict["is_selected"] and len(facts.cells) > 1 else (cell,)
