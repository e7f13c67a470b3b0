"""Metrics in short: first, last, least, greatest and best, over effective points in the order of logging.

Everything is an ordered pick or a count, never a float sum of the database: those differ from run to run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from crucible.projections.buffer import Buffer, Row
from crucible.projections.spools import Spool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.integer[Any]]
    Real = NDArray[np.float64]

Pick = tuple[float, int]
"""A value and its step."""


@dataclasses.dataclass(slots=True)
class Series:
    """One metric of one spool, or of a stage when spools are joined."""

    n: int = 0
    nonfinite: int = 0
    first: Pick | None = None
    last: Pick | None = None
    least: Pick | None = None
    greatest: Pick | None = None

    def add(self, step: Whole, value: Real) -> None:
        """Take points in order; at least one."""
        import numpy as np

        self.n += len(value)
        if self.first is None:
            self.first = (float(value[0]), int(step[0]))
        self.last = (float(value[-1]), int(step[-1]))
        is_finite = np.isfinite(value)
        if not is_finite.all():
            step, value = step[is_finite], value[is_finite]
            self.nonfinite += len(is_finite) - len(value)
            if not len(value):
                return
        low, high = int(value.argmin()), int(value.argmax())
        self._pick((float(value[low]), int(step[low])), (float(value[high]), int(step[high])))

    def add_one(self, step: int, value: float) -> None:
        """Take one point."""
        point = (value, step)
        self.n += 1
        self.first = self.first or point
        self.last = point
        if math.isfinite(value):
            self._pick(point, point)
        else:
            self.nonfinite += 1

    def join(self, later: Series) -> None:
        """Take the points of a series that comes after this one."""
        self.n += later.n
        self.nonfinite += later.nonfinite
        self.first = self.first or later.first
        self.last = later.last or self.last
        if later.least is not None and later.greatest is not None:
            self._pick(later.least, later.greatest)

    def _pick(self, least: Pick, greatest: Pick) -> None:
        if self.least is None or least[0] < self.least[0]:
            self.least = least
        if self.greatest is None or greatest[0] > self.greatest[0]:
            self.greatest = greatest

    def best(self, better: str | None) -> Pick | None:
        """The best value by direction; None without one."""
        return {"higher": self.greatest, "lower": self.least}.get(better or "")


SeriesByName = dict[int, Series]


def series_of(names: Whole, step: Whole, value: Real, into: SeriesByName) -> None:
    """Split points by name number and add each part, in order, to its series."""
    import numpy as np

    order = np.argsort(names, kind="stable")
    ordered = names[order]
    borders = np.flatnonzero(np.diff(ordered)) + 1
    for part in np.split(order, borders):
        if len(part):
            into.setdefault(int(names[part[0]]), Series()).add(step[part], value[part])


class Summaries:
    """Keeps the series of spools in use, and turns those of a stage into rows. For one thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._live: dict[int, SeriesByName] = {}
        self._bounded: dict[int, tuple[int, SeriesByName]] = {}

    def add(self, spool: Spool, names: Whole, step: Whole, value: Real, *, is_first: bool) -> None:
        """Take new points of a spool; ``is_first``: the spool has no earlier ones."""
        series_of(names, step, value, self._series_before(spool, is_first=is_first))

    def add_few(self, spool: Spool, points: Iterable[tuple[int, int, float]], *, is_first: bool) -> None:
        """As ``add``, for a few points (name number, step, value), without NumPy."""
        series = self._series_before(spool, is_first=is_first)
        for number, step, value in points:
            series.setdefault(number, Series()).add_one(step, value)

    def write(
        self, spools: Iterable[Spool], names: Mapping[int, str], better: Mapping[str, str | None], buffer: Buffer
    ) -> None:
        """Replace the rows of a stage, whose spools of points these are, in order of first sight.

        The points of this commit are in the table by now. ``better`` is the direction by metric name.
        """
        known = list(spools)
        counted = [spool for spool in known if spool.is_effective]
        counted.sort(key=lambda spool: (spool.chain_index or 0, spool.spool_id))
        joined: SeriesByName = {}
        for spool in counted:
            for number, series in self._series(spool).items():
                joined.setdefault(number, Series()).join(series)
        first = known[0]
        rows = sorted(
            (
                _row(first, names[number], series, better.get(names[number]))
                for number, series in joined.items()
                if series.n
            ),
            key=lambda row: str(row[4]),
        )
        buffer.replace("metric_summary", "first_spool_no", first.spool_no, rows)

    def forget(self, spools: Iterable[Spool]) -> None:
        """Drop what is kept of these spools, after a commit."""
        for spool in spools:
            self._live.pop(spool.spool_no, None)
            self._bounded.pop(spool.spool_no, None)

    def _series_before(self, spool: Spool, *, is_first: bool) -> SeriesByName:
        """The series of everything that came before what is to be added."""
        series = self._live.get(spool.spool_no)
        if series is None:
            series = self._live[spool.spool_no] = {} if is_first else self._read(spool, None)
        return series

    def _series(self, spool: Spool) -> SeriesByName:
        if not spool.is_bounded:
            live = self._live.get(spool.spool_no)
            if live is None:
                live = self._live[spool.spool_no] = self._read(spool, None)
            return live
        end = spool.end_sequence or 0
        kept = self._bounded.get(spool.spool_no)
        if kept is None or kept[0] != end:
            kept = self._bounded[spool.spool_no] = (end, self._read(spool, end))
        return kept[1]

    def _read(self, spool: Spool, end: int | None) -> SeriesByName:
        found: SeriesByName = {}
        condition = "" if end is None else f" AND sequence < {end}"
        query = f"SELECT name_no, step, value FROM points WHERE run_no = {spool.run_no} AND spool_no = {spool.spool_no}{condition} ORDER BY sequence"  # noqa: E501  one statement
        columns = self._connection.execute(query).fetchnumpy()
        if len(columns["value"]):
            series_of(columns["name_no"], columns["step"], columns["value"], found)
        return found


def _row(first: Spool, name: str, series: Series, better: str | None) -> Row:
    picks: list[float | int | None] = []
    for pick in (series.first, series.last, series.least, series.greatest, series.best(better)):
        picks += pick or (None, None)
    return (first.spool_no, first.run_no, first.run_id, first.stage, name, series.n, series.nonfinite, *picks)
