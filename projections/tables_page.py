"""The reference part of ``docs/tables.md``, made from the declarations of tables and views.

``python -m crucible.projections.tables_page --write`` brings the page up to date, ``--check`` says whether it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from crucible.page_command import run_page_command
from crucible.projections.columns import Table, View
from crucible.projections.tables import TABLES
from crucible.projections.views import VIEWS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tables.md"
MARKER = "## Every table and view\n"
"""What stands above it is written by hand."""


def page(current: str) -> str:
    """The whole page, with everything above the marker as it is."""
    head, marker, _ = current.partition(MARKER)
    if not marker:
        head = f"{current.rstrip()}\n\n"
    parts = [
        head,
        MARKER,
        "\nMade from the code by `python -m crucible.projections.tables_page --write`. Columns marked ¹ are physical: ",
        "where a row came\nfrom. Two read models of the same log may differ in them and in nothing else.\n",
        *(_view_text(view) for view in VIEWS),
        *(_table_text(table) for table in TABLES),
    ]
    return "".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Print, write or check the page; the exit code."""
    return run_page_command("crucible.projections.tables_page", __doc__, PAGE, page, arguments)


def _view_text(view: View) -> str:
    rows = "".join(f"| `{name}` | {text} |\n" for name, text in view.columns)
    return f"\n### {view.name} (view)\n\n{view.text}\n\n| column | what |\n|---|---|\n{rows}"


def _table_text(table: Table) -> str:
    rows = "".join(
        f"| `{column.name}`{'¹' if column.is_physical else ''} | {column.type} | {column.text} |\n"
        for column in table.columns
    )
    spread = f"Of [several read models](projectors.md): {table.spread}."
    return f"\n### {table.name}\n\n{table.text}\n\n{spread}\n\n| column | type | what |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    sys.exit(main())
