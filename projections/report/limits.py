"""What a submission was allowed: its budgets and its breaker, and how far it went."""

from __future__ import annotations

from collections.abc import Iterator

from crucible.projections.report.facts import Facts
from crucible.projections.report.ledger import Ledger, literal
from crucible.projections.report.model import Block, Column, Id, Moment, Table, Text


def limits(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    """Tables of the budgets and breakers that were declared or set."""
    yield from _budgets(ledger, facts)
    yield from _breakers(ledger, facts)


def _budgets(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    found = ledger.records(
        f"SELECT kind, metric, status, exceeded_at FROM budgets WHERE submission_id = {facts.id} ORDER BY kind"
    )
    rows = []
    for row in found:
        unit = "s" if row["kind"] == "time_s" else None
        of = f"FROM budgets WHERE submission_id = {facts.id} AND kind = {literal(row['kind'])}"
        allowed = ledger.number(f"budget {row['kind']}: allowed", "only", f"SELECT allowed, event_id {of}", unit=unit)
        spent = ledger.number(f"budget {row['kind']}: spent", "only", f"SELECT spent, event_id {of}", unit=unit)
        kind: Text = (Id(row["kind"]), *((" of ", Id(row["metric"])) if row["metric"] else ()))
        ended: Text = (Moment(f"{row['exceeded_at'].isoformat(timespec='seconds')}Z"),) if row["exceeded_at"] else ()
        rows.append((kind, (allowed,), (spent,), (row["status"],), ended))
    if rows:
        columns = (
            Column("budget"),
            Column("allowed", is_number=True),
            Column("spent", is_number=True),
            Column("status"),
            Column("exceeded"),
        )
        yield Table("budgets-table", ("Budgets.",), columns, tuple(rows))


def _breakers(ledger: Ledger, facts: Facts) -> Iterator[Block]:
    found = ledger.records(
        f"SELECT generation, status FROM breakers WHERE submission_id = {facts.id} ORDER BY generation"
    )
    names = ("window_runs", "allowed_rate", "min_runs", "ended", "failed")
    rows = []
    for row in found:
        of = f"FROM breakers WHERE submission_id = {facts.id} AND generation = {row['generation']}"
        cells: list[Text] = [
            (ledger.number(f"breaker: {name}", "only", f"SELECT {name}, event_id {of}"),) for name in names
        ]
        rows.append((*cells, (row["status"],)))
    if rows:
        columns = (*(Column(name, is_number=True) for name in names), Column("status"))
        yield Table("breakers-table", ("Breakers: when failures stop the submission.",), columns, tuple(rows))
