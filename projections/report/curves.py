"""Learning curves: which metrics, which steps, and how cells are laid out in panels and lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crucible.numerals import written
from crucible.projections.report.drawn_range import TOO_GREAT, drawn, drawn_end, is_drawn
from crucible.projections.report.facts import Facts, values_of
from crucible.projections.report.ledger import Ledger, literal
from crucible.projections.report.model import Figure, Id, Number, Text
from crucible.projections.report.overview import level_number
from crucible.statistics.intervals import LEVEL
from crucible.statistics.readings import over_repeats

FIGURES_MAX = 4
"""Metrics that get a figure."""
STEPS_MAX = 120
"""Steps that are drawn of a curve, evenly among those that were logged."""
PANELS_MAX = 6
LINES_MAX = 7
LOG_FROM = 20.0
"""Positive means that span this factor or more get a logarithmic axis."""
CELLS_MAX = 7
"""Cells that are drawn where the grid does not fit into panels: the best ones."""
BANDS = "crucible.statistics.bands.along_steps"


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A curve with its band: steps, means, and ends of intervals (None: no interval)."""

    label: str
    order: int
    """Place among the lines of all panels: the same colour everywhere."""
    points: tuple[tuple[int, float, float | None, float | None], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """Lines that share axes."""

    title: str
    lines: tuple[Line, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Curves:
    """A figure of learning curves."""

    metric: str
    unit: str | None
    legend: str
    """What the lines differ in."""
    panels: tuple[Panel, ...]
    is_ordered: bool
    """Lines are values of a number, in order: their colours are as well."""
    is_log: bool
    """Values are positive and span so much that only a logarithmic axis shows them."""


def curve_numbers(ledger: Ledger, where: str) -> Iterator[tuple[int, str, str | None, Number]]:
    """Place, name, unit and bands of each logged metric that makes a curve: two steps, and something to draw."""
    for place, (name, unit) in enumerate(logged_metrics(ledger, where)):
        condition = f"m.name = {literal(name)} AND {where}"
        steps = thinned(ledger, condition)
        if len(steps) < 2:  # noqa: PLR2004  a curve has at least two points
            continue
        number = ledger.number(
            f"curves of {name}",
            BANDS,
            curve_sql(condition, steps),
            unit=unit,
            text=lambda bands: f"{len(bands)} values",
            parameters={"level": LEVEL},
        )
        if not is_curve(number.value):
            continue
        yield place, name, unit, number


def curve_figures(ledger: Ledger, facts: Facts) -> Iterator[Figure]:
    """A figure for each logged metric that has a direction; for others only if there is none."""
    where = facts.where
    for place, name, unit, number in curve_numbers(ledger, where):
        points, is_log = points_of(number.value)
        best, by = best_cells(ledger, facts)
        drawing = _laid_out(facts, name, unit, points, best, is_log=is_log)
        bands = bands_text(ledger, is_log=is_log)
        caption: Text = (Id(name), ": mean over repeats at each step, effective points only. ", *bands)
        if sum(len(panel.lines) for panel in drawing.panels) < len(points):
            chosen: Text = ("best cells by ", Id(by)) if by else ("first cells of the grid",)
            caption = (*caption, " Drawn are only the ", *chosen, ".")
        if not all(is_drawn(band[2]) for band in number.value):
            caption = (*caption, TOO_GREAT)
        yield Figure(
            id=f"curves-{chr(ord('a') + place)}",
            caption=caption,
            alternative=f"Learning curves of {name}, a line for each {drawing.legend}"
            f"{', in panels' if len(drawing.panels) > 1 else ''}. The values are in curves.csv.",
            kind="curves",
            drawing=drawing,
            sources=(number,),
        )


def logged_metrics(ledger: Ledger, where: str) -> list[tuple[str, str | None]]:
    """Names and units of the metrics whose curves are worth a figure."""
    rows = ledger.records(
        "SELECT DISTINCT m.name, d.unit, d.better, coalesce(d.kind, 'environment') AS kind FROM metric_summary m"
        " JOIN stage_sources q ON q.source_run_id = m.run_id AND q.stage = m.stage"
        " JOIN runs r ON r.run_id = q.run_id LEFT JOIN metric_declarations d ON d.submission_id = r.submission_id"
        f" AND d.stage = m.stage AND d.name = m.name WHERE {where} AND m.last_step > 0 ORDER BY m.name"
    )
    chosen = [row for row in rows if row["better"] and row["kind"] != "timing"] or [
        row for row in rows if row["kind"] != "timing"
    ]
    named = {row["name"]: row["unit"] for row in chosen}
    return list(named.items())[:FIGURES_MAX]


def thinned(ledger: Ledger, condition: str) -> list[int]:
    """At most ``STEPS_MAX`` of the steps at which points were logged, the first and the last among them."""
    rows = ledger.records(
        f"SELECT DISTINCT m.step FROM run_metrics m JOIN runs r ON r.run_id = m.run_id"
        f" WHERE {condition} AND m.step > 0 ORDER BY m.step"
    )
    steps = [row["step"] for row in rows]
    if len(steps) <= STEPS_MAX:
        return steps
    return sorted({steps[round(i * (len(steps) - 1) / (STEPS_MAX - 1))] for i in range(STEPS_MAX)})


def curve_sql(condition: str, steps: Sequence[int]) -> str:
    """Points of some steps: rows of (cell, repeat, step, value, event_id)."""
    listed = ", ".join(map(str, steps))
    return (
        f"SELECT r.cell_index, r.repeat, m.step, m.value, t.event_id FROM run_metrics m"
        " JOIN runs r ON r.run_id = m.run_id JOIN spools s ON s.spool_id = m.spool_id"
        " JOIN telemetry_records t ON t.spool_no = s.spool_no AND t.type = 'MetricBatch' AND t.taken > 0"
        " AND m.sequence >= t.first_sequence + t.entries - t.taken AND m.sequence < t.first_sequence + t.entries"
        f" WHERE {condition} AND m.step IN ({listed})"
        " ORDER BY r.cell_index, r.repeat, m.step, s.chain_index, m.spool_id, m.sequence"
    )


Points = Mapping[int, Sequence[tuple[int, float, float | None, float | None]]]


def points_of(bands: Sequence[Sequence[Any]]) -> tuple[Points, bool]:
    """Points by cell, and whether their axis is logarithmic.

    There the band is that of the values, for an interval of a mean may reach below zero.
    """
    shown = [(*band[:2], drawn(band[2]), *map(drawn_end, band[3:7]), band[7]) for band in bands if is_drawn(band[2])]
    means = [band[2] for band in shown]
    is_log = bool(means) and min(band[5] for band in shown) > 0 and max(means) / min(means) >= LOG_FROM
    points: dict[int, list[tuple[int, float, float | None, float | None]]] = {}
    for cell, step, mean, low, high, least, greatest, n in shown:
        ends = (least, greatest) if is_log and n > 1 else (low, high)
        points.setdefault(cell, []).append((step, mean, *ends))
    return points, is_log


def bands_text(ledger: Ledger, *, is_log: bool) -> Text:
    """What the bands are."""
    if is_log:
        return ("Bands reach from the least to the greatest repeat.",)
    return ("Bands are Student's t intervals at ", level_number(ledger), ".")


def is_curve(bands: Sequence[Sequence[Any]]) -> bool:
    """Whether there are values at two steps or more that can be drawn: of NaN and infinity there is no line."""
    return len({band[1] for band in bands if is_drawn(band[2])}) > 1


def _laid_out(
    facts: Facts, name: str, unit: str | None, points: Points, best: Sequence[int], *, is_log: bool
) -> Curves:
    plan = _panels(facts)
    if plan is None:
        chosen = [cell for cell in best if cell in points][:CELLS_MAX]
        lines = tuple(Line(facts.cells[cell].name, place, tuple(points[cell])) for place, cell in enumerate(chosen))
        return Curves(name, unit, "cell", (Panel("", lines),), is_ordered=False, is_log=is_log)
    lines_by, panels_by = plan
    line_values = _values(facts, lines_by)
    panels = []
    for panel_value in _values(facts, panels_by) if panels_by else [None]:
        lines_of = []
        for order, value in enumerate(line_values):
            for cell in facts.cells.values():
                is_here = panels_by is None or cell.params.get(panels_by) == panel_value
                if is_here and cell.params.get(lines_by) == value and cell.index in points:
                    lines_of.append(Line(written(value), order, tuple(points[cell.index])))
        title = f"{facts.short(panels_by)} {written(panel_value)}" if panels_by else ""
        panels.append(Panel(title, tuple(lines_of)))
    return Curves(name, unit, facts.short(lines_by), tuple(panels), is_ordered=lines_by in facts.numeric, is_log=is_log)


def _panels(facts: Facts) -> tuple[str, str | None] | None:
    """The parameter of the lines and that of the panels; None if the grid has too many for that."""
    if len(facts.varied) == 1:
        (name,) = facts.varied
        return (name, None) if len(_values(facts, name)) <= LINES_MAX else None
    if len(facts.varied) != 2:  # noqa: PLR2004  lines and panels
        return None
    for lines_by, panels_by in (facts.varied[::-1], facts.varied):
        if len(_values(facts, lines_by)) <= LINES_MAX and len(_values(facts, panels_by)) <= PANELS_MAX:
            return lines_by, panels_by
    return None


def _values(facts: Facts, name: str) -> list[Any]:
    found: list[Any] = []
    for cell in facts.cells.values():
        if (value := cell.params.get(name)) not in found:
            found.append(value)
    return sorted(found) if name in facts.numeric else found


def best_cells(ledger: Ledger, facts: Facts) -> tuple[list[int], str | None]:
    """The cells from the best to the worst, and the metric that says so; without one in the order of the grid.

    The selected cell comes first; those without a finite mean come last.
    """
    metric = facts.metrics.get(facts.select or "")
    if metric is None or metric.better is None:
        return sorted(facts.cells, key=lambda cell: (cell != facts.selected, cell)), None
    rows = values_of(ledger, facts, metric)
    sign = 1 if metric.better == "lower" else -1

    def rank(cell: int) -> tuple[bool, bool, float, int]:
        interval = over_repeats([row[:-1] for row in rows.rows(cell)])
        return cell != facts.selected, interval is None, 0.0 if interval is None else sign * interval.value, cell

    return sorted(facts.cells, key=rank), metric.name
