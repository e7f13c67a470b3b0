"""Reports that were asked for and are not there yet. What renders is imported only when there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from crucible.journal import Journal
from crucible.place import Place
from crucible.projections.writer import Replacement

COLUMNS = ("report_id", "subject_kind", "subject_id", "position", "formats", "folder", "manifest_digest", "problem")
"""Columns of the table ``reports``, in order."""
_POSITION = COLUMNS.index("position")
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM reports"
TO_RENDER = f"{_SELECT} WHERE manifest_digest IS NULL AND problem IS NULL ORDER BY report_id"
_FAILED = f"{_SELECT} WHERE problem IS NOT NULL ORDER BY report_id"


class AskedReports:
    """Renders what was asked for. For one thread at a time."""

    def __init__(self, journal: Journal, place: Place, is_reached: Callable[[str], bool] | None = None) -> None:
        """Relative output folders lie beside the folder of the log.

        ``is_reached`` says whether the model has read up to a position, as text: a report waits for that.
        """
        self._journal = journal
        self._place = place
        self._is_reached = is_reached

    def write(self, cursor: Any) -> Iterator[Replacement]:
        """Render every report that was asked for and is not there: each row to commit."""
        for row in cursor.execute(TO_RENDER).fetchall():
            if self._is_reached is not None and not self._is_reached(row[_POSITION]):
                continue
            from crucible.projections.report.writing import write_report

            yield write_report(cursor, self._journal, self._place, row)

    def forget_failed(self, cursor: Any) -> list[Replacement]:
        """The rows that let those that could not be rendered be tried again."""
        found = cursor.execute(_FAILED).fetchall()
        return [("reports", "report_id", row[0], [(*row[:5], None, None, None)]) for row in found]
