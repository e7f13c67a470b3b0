"""CSV: a row for each number of the report, and the tables of values beside it. Safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from crucible.markup import csv_cell
from crucible.projections.report.model import DataTable, Report
from crucible.projections.report.trace import events_json

COLUMNS = ("id", "label", "value", "text", "unit", "marks", "function", "parameters", "sql", "events", "event_ids")


def csv_of(report: Report) -> bytes:
    """A row for each number. Values of figures are in ``curves.csv`` and in ``report.json``."""
    rows = []
    for number in report.numbers:
        row = (
            number.id,
            number.label,
            None if isinstance(number.value, tuple) else number.value,
            number.text,
            number.unit,
            " ".join(number.marks),
            number.function,
            json.dumps(dict(number.parameters)),
            number.source.sql,
            len(number.source.event_ids),
            json.dumps(events_json(number.source)),
        )
        rows.append(row)
    return _written(COLUMNS, rows)


def data_csv(table: DataTable) -> bytes:
    """The rows of a table of values."""
    return _written(table.columns, table.rows)


def _written(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\r\n")
    writer.writerow([csv_cell(name) for name in columns])
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return page.getvalue().encode()
