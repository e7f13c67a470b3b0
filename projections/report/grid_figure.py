"""The selected metric over the grid: a heat map of two numeric parameters, else cells with intervals side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from crucible.numerals import written
from crucible.projections.report.drawn_range import TOO_GREAT, drawn, drawn_end, is_drawn
from crucible.projections.report.facts import Facts, Metric, values_of
from crucible.projections.report.ledger import Ledger, literal
from crucible.projections.report.model import Figure, Id, Number, Text
from crucible.projections.report.overview import level_number
from crucible.statistics.intervals import LEVEL

DOTS_MAX = 40
"""Cells that are drawn side by side: the best ones."""
HEAT_MAX = 12
"""Values of a parameter that a heat map can show."""


@dataclasses.dataclass(frozen=True, slots=True)
class Heat:
    """A heat map: rows of ``y``, columns of ``x``."""

    metric: str
    unit: str | None
    better: str | None
    x_name: str
    y_name: str
    xs: tuple[str, ...]
    ys: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    selected: tuple[int, int] | None
    """Row and column of the selected cell."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dots:
    """Means with intervals, the best first."""

    metric: str
    unit: str | None
    rows: tuple[tuple[str, float, float | None, float | None], ...]
    """Label, mean, low, high."""
    selected: int | None
    bounds: tuple[float, ...]
    """Of the metric's target."""


def grid_figure(ledger: Ledger, facts: Facts) -> Iterator[Figure]:
    """The figure, if a metric is selected by and more than one cell has a value."""
    metric = facts.metrics.get(facts.select or "") or next(iter(facts.metrics.values()), None)
    if metric is None or len(facts.cells) < 2:  # noqa: PLR2004  one cell is no grid
        return
    number = ledger.number(
        f"{metric.name} of every cell",
        "crucible.statistics.bands.side_by_side",
        values_of(ledger, facts, metric).whole("r.cell_index, "),
        unit=metric.unit,
        text=lambda bands: f"{len(bands)} values",
        parameters={"level": LEVEL, "floor": metric.low, "ceiling": metric.high},
    )
    bands = {band[0]: band[1:] for band in number.value}
    if not any(band[0] is not None and is_drawn(band[0]) for band in bands.values()):
        return
    yield _heat(facts, metric, bands, number) or _dots(ledger, facts, metric, bands, number)


def _heat(facts: Facts, metric: Metric, bands: Mapping[int, Any], number: Number) -> Figure | None:
    if len(facts.varied) != 2 or len(facts.numeric) != 2:  # noqa: PLR2004  two axes
        return None
    x_name, y_name = facts.varied
    xs, ys = (sorted({cell.params[name] for cell in facts.cells.values()}) for name in (x_name, y_name))
    if len(xs) > HEAT_MAX or len(ys) > HEAT_MAX:
        return None
    values: list[list[float | None]] = [[None] * len(xs) for _ in ys]
    selected = None
    for cell in facts.cells.values():
        at = ys.index(cell.params[y_name]), xs.index(cell.params[x_name])
        values[at[0]][at[1]] = bands[cell.index][0]
        if cell.index == facts.selected:
            selected = at
    caption: Text = (Id(metric.name), ": mean over repeats of every cell.")
    if selected is not None:
        caption = (*caption, " The selected cell is framed.")
    drawing = Heat(
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        x_name=facts.short(x_name),
        y_name=facts.short(y_name),
        xs=tuple(map(written, xs)),
        ys=tuple(map(written, ys)),
        values=tuple(map(tuple, values)),
        selected=selected,
    )
    words = (
        f"Heat map of {metric.name} over {drawing.x_name} and {drawing.y_name}. The values are in the table of cells."
    )
    return Figure("grid", caption, words, "heat", drawing, (number,))


def _dots(ledger: Ledger, facts: Facts, metric: Metric, bands: Mapping[int, Any], number: Number) -> Figure:
    sign = 1 if metric.better == "lower" else -1
    measured = [(cell, band) for cell, band in bands.items() if band[0] is not None]
    known = [
        (cell, drawn(band[0]), drawn_end(band[1]), drawn_end(band[2])) for cell, band in measured if is_drawn(band[0])
    ]
    known.sort(key=lambda dot: (sign * dot[1], dot[0]))
    is_cut = len(known) > DOTS_MAX
    known = known[:DOTS_MAX]
    kind = "best" if metric.better else "greatest"
    caption: Text = (
        Id(metric.name),
        ": mean over repeats with Student's t interval at ",
        level_number(ledger),
        f", only the {kind} cells." if is_cut else f", the {kind} cells first.",
        *((TOO_GREAT,) if any(not is_drawn(band[0]) for _, band in measured) else ()),
    )
    target = [record for name in facts.targets if name == metric.name for record in _target(ledger, facts, name)]
    drawing = Dots(
        metric=metric.name,
        unit=metric.unit,
        rows=tuple((facts.cells[cell].name, mean, low, high) for cell, mean, low, high in known),
        selected=next((i for i, (cell, *_) in enumerate(known) if cell == facts.selected), None),
        bounds=tuple(bound for bound in target if is_drawn(bound)),
    )
    words = f"{metric.name} of the cells with intervals, the best first. The values are in the table of cells."
    return Figure("grid", caption, words, "dots", drawing, (number,))


def _target(ledger: Ledger, facts: Facts, metric: str) -> list[float]:
    (row,) = ledger.records(
        f"SELECT at_least, at_most FROM declared_targets WHERE submission_id = {facts.id}"
        f" AND metric = {literal(metric)}"
    )
    return [bound for bound in (row["at_least"], row["at_most"]) if bound is not None]
