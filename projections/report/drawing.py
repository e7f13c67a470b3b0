"""Figures by Matplotlib: the same bytes for the same values and versions, thin lines, no ink without meaning.

Colours tell apart for colour-blind readers: Okabe and Ito's palette for names, cividis for numbers in order.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from crucible.numerals import written
from crucible.projections.report.curves import Curves, Panel
from crucible.projections.report.drawn_range import drawn as drawn_value
from crucible.projections.report.drawn_range import is_drawn
from crucible.projections.report.grid_figure import Dots, Heat
from crucible.projections.report.hypotheses import Forest
from crucible.projections.report.model import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Okabe and Ito (2008), in an order in which neighbours differ most."""
INK = "#010203"
"""Stands for the colour of the text around the figure."""
QUIET = "#8a8f98"
TEXT_CHARACTERS_MAX = 40
"""Longest text in a figure."""
KEPT_MAX = 16
"""Drawings that are kept."""
COLOURS = 64
"""Steps of a heat map's colours."""
PLAIN_FROM, PLAIN_TO = 1e-3, 1e6
"""Greatest values of a heat map between these are written without powers of ten."""
WIDTH_IN = 6.6
"""Text width of an A4 page with usual margins."""
PANEL_HEIGHT_IN = 1.75
STYLE: Any = {
    "svg.hashsalt": "crucible",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "legend.frameon": False,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 7.0,
    "figure.dpi": 100.0,
    "savefig.transparent": True,
    "text.usetex": False,
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
}
Form = Literal["svg", "pdf", "png"]


def drawn(figure: Figure, form: Form) -> bytes:
    """The figure in one of Matplotlib's formats. The last few are kept: two formats of a report share them."""
    key = (id(figure), form)
    if key not in _kept:
        while len(_kept) >= KEPT_MAX:
            del _kept[next(iter(_kept))]
        _kept[key] = (figure, _draw(figure, form))
    return _kept[key][1]


def _draw(figure: Figure, form: Form) -> bytes:
    with _canvas() as plt:
        made = _DRAWERS[figure.kind](plt, _drawable(figure.drawing))
        target = io.BytesIO()
        metadata: dict[str, Any] = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}, "png": {}}[
            form
        ]
        made.savefig(target, format=form, metadata=metadata, dpi=200)
        plt.close(made)
    return target.getvalue()


def inline_svg(figure: Figure) -> str:
    """The figure as an element of an HTML page: it follows the page's colour of text, and names nothing outside it."""
    text = drawn(figure, "svg").decode()
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\s(xmlns(:xlink)?|version)="[^"]*"', "", body)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'\bid="', f'id="{figure.id}-', body)
    body = re.sub(r'href="#', f'href="#{figure.id}-', body)
    body = re.sub(r"url\(#", f"url(#{figure.id}-", body)
    body = body.replace(INK, "currentColor")
    body = re.sub(r"font: ([0-9.]+px) 'DejaVu Sans', sans-serif", r"font: \1 sans-serif", body)
    body = re.sub(r"'DejaVu Sans', ", "", body)
    return body.strip()


def _drawable(value: Any) -> Any:
    """The values of a figure with texts that can be drawn: in one line, and not too long."""
    if isinstance(value, str):
        flat = "".join(c if c.isprintable() else " " for c in value)
        return flat if len(flat) <= TEXT_CHARACTERS_MAX else f"{flat[: TEXT_CHARACTERS_MAX - 1]}…"
    if isinstance(value, tuple):
        return tuple(_drawable(part) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: _drawable(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value


@contextlib.contextmanager
def _canvas() -> Iterator[Any]:
    import matplotlib as mpl

    mpl.use("Agg", force=False)
    import matplotlib.pyplot as plt

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield plt


def _axis_label(metric: str, unit: str | None) -> str:
    return f"{metric} ({unit})" if unit else metric


def _draw_curves(plt: Any, curves: Curves) -> Any:
    from matplotlib.ticker import MaxNLocator

    count = len(curves.panels)
    across = count if count <= 2 else math.ceil(count / 2) if count <= 4 else 3  # noqa: PLR2004  panels in a row
    down = math.ceil(count / across)
    figure, axes = plt.subplots(
        down,
        across,
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
        figsize=(WIDTH_IN if count > 1 else WIDTH_IN * 0.72, PANEL_HEIGHT_IN * down + (0.5 if count > 1 else 1.1)),
    )
    colours = _colours(curves)
    handles: dict[str, Any] = {}
    for axis, panel in zip(axes.flat, curves.panels, strict=False):
        _draw_panel(axis, panel, colours, handles)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    low, high = _limits(curves)
    for axis in axes.flat[:count]:
        if curves.is_log:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_ylim(*_padded(low, high, is_log=curves.is_log))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # there is no half step
    figure.supxlabel("step", fontsize=8.0)
    figure.supylabel(_axis_label(curves.metric, curves.unit), fontsize=8.0)
    if len(handles) > 1:
        figure.legend(handles.values(), handles.keys(), title=curves.legend, loc="outside right center")
    return figure


def _draw_panel(axis: Any, panel: Panel, colours: Sequence[Any], handles: dict[str, Any]) -> None:
    for line in panel.lines:
        colour = colours[line.order % len(colours)]
        steps = [point[0] for point in line.points]
        means = [point[1] for point in line.points]
        banded = [point for point in line.points if point[2] is not None]
        if len(banded) > 1:
            axis.fill_between(
                [point[0] for point in banded],
                [point[2] for point in banded],
                [point[3] for point in banded],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        (handle,) = axis.plot(steps, means, color=colour)
        handles.setdefault(line.label, handle)
    if panel.title:
        axis.set_title(panel.title, loc="left")


def _limits(curves: Curves) -> tuple[float, float]:
    """Least and greatest mean: bands may leave the axes, means may not."""
    means = [point[1] for panel in curves.panels for line in panel.lines for point in line.points]
    return min(means), max(means)


def _padded(low: float, high: float, *, is_log: bool) -> tuple[float, float]:
    if is_log:
        factor = (high / low) ** 0.06
        return low / factor, high * factor
    space = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return low - space, high + space


def _colours(curves: Curves) -> Sequence[Any]:
    import matplotlib as mpl

    count = max((line.order for panel in curves.panels for line in panel.lines), default=0) + 1
    if not curves.is_ordered or count < 3:  # noqa: PLR2004  two need no order
        return PALETTE
    return [mpl.colormaps["viridis"](0.8 * (1 - place / (count - 1))) for place in range(count)]


def _draw_heat(plt: Any, heat: Heat) -> Any:
    import numpy as np

    values = np.array([[np.nan if value is None else value for value in row] for row in heat.values], dtype=float)
    across, down = len(heat.xs), len(heat.ys)
    size = (min(WIDTH_IN, 1.9 + 0.62 * across), 0.9 + 0.34 * down)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    colours = [[drawn_value(value) if is_drawn(value) else np.nan for value in row] for row in values.tolist()]
    shown = np.ma.masked_invalid(np.array(colours, dtype=float))
    image = axis.pcolormesh(shown, cmap=plt.get_cmap("cividis", COLOURS), edgecolors="face", linewidth=0.2)
    low, high = image.get_clim()
    decimals = _decimals(max(abs(low), abs(high)))
    for y, x in np.ndindex(down, across):
        value = float(values[y, x])
        light = is_drawn(value) and high > low and (value - low) / (high - low) > 0.55  # noqa: PLR2004
        text = written(value, decimals) if heat.values[y][x] is not None else "–"
        colour = INK if not is_drawn(value) else "#111111" if light else "#ffffff"
        axis.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7.0, color=colour)
    if heat.selected is not None:
        y, x = heat.selected
        frame = plt.Rectangle((x + 0.03, y + 0.03), 0.94, 0.94, fill=False, edgecolor="#D55E00", linewidth=1.8)
        axis.add_patch(frame)
    axis.set_xticks(np.arange(across) + 0.5, heat.xs)
    axis.set_yticks(np.arange(down) + 0.5, heat.ys)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.set_xlabel(heat.x_name)
    axis.set_ylabel(heat.y_name)
    bar = figure.colorbar(image, ax=axis, pad=0.02, aspect=18)
    bar.outline.set_visible(False)
    bar.solids.set(rasterized=False, edgecolor="face")  # as paths: a page without images shows them as well
    arrow = {"higher": ", higher is better", "lower": ", lower is better"}.get(heat.better or "", "")
    bar.set_label(f"{_axis_label(heat.metric, heat.unit)}{arrow}", fontsize=7.0)
    return figure


def _decimals(largest: float) -> int | None:
    """Decimals at which the largest value has four significant digits, the same for all; None: powers of ten."""
    if largest == 0:
        return 0
    return max(0, 3 - math.floor(math.log10(largest))) if PLAIN_FROM <= largest < PLAIN_TO else None


def _draw_dots(plt: Any, dots: Dots) -> Any:
    count = len(dots.rows)
    figure, axis = plt.subplots(figsize=(WIDTH_IN * 0.8, 0.7 + 0.19 * count), layout="constrained")
    for place, (_, mean, low, high) in enumerate(dots.rows):
        colour = PALETTE[1] if place == dots.selected else PALETTE[0]
        if low is not None and high is not None:
            axis.plot([low, high], [place, place], color=colour, linewidth=1.0, solid_capstyle="butt")
        axis.plot([mean], [place], marker="o", color=colour)
    for bound in dots.bounds:
        axis.axvline(bound, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.annotate(
            "target",
            (bound, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=7.0,
            color=INK,
        )
    axis.set_yticks(range(count), [row[0] for row in dots.rows])
    axis.set_ylim(count - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="y", color=QUIET, alpha=0.2, linewidth=0.5)
    axis.set_axisbelow(True)
    axis.set_xlabel(_axis_label(dots.metric, dots.unit))
    return figure


def _draw_forest(plt: Any, forest: Forest) -> Any:
    count = len(forest.rows)
    figure, axis = plt.subplots(figsize=(WIDTH_IN * 0.8, 0.75 + 0.22 * count), layout="constrained")
    known = [end for _, *ends, _ in forest.rows for end in ends if end is not None]
    low, high = _padded(min([0.0, *known]), max([0.0, *known]), is_log=False)
    axis.axvline(0.0, color=QUIET, linewidth=0.8)
    for place, (_, estimate, start, end, is_shown) in enumerate(forest.rows):
        span = [low if start is None else start, high if end is None else end]
        axis.plot(span, [place, place], color=PALETTE[0], linewidth=1.0, solid_capstyle="butt")
        for edge, marker, is_open in ((low, "<", start is None), (high, ">", end is None)):
            if is_open:
                axis.plot([edge], [place], marker=marker, color=PALETTE[0], clip_on=False)
        face = PALETTE[0] if is_shown else "white"
        axis.plot([estimate], [place], marker="s", color=PALETTE[0], markerfacecolor=face, markersize=4.5)
    axis.set_xlim(low, high)
    axis.set_yticks(range(count), [row[0] for row in forest.rows])
    axis.set_ylim(count - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="y", color=QUIET, alpha=0.2, linewidth=0.5)
    axis.set_axisbelow(True)
    arrow = {"higher": "; to the right the first is better", "lower": "; to the left the first is better"}
    label = _axis_label(f"difference in {forest.metric}", forest.unit)
    axis.set_xlabel(f"{label}{arrow.get(forest.better or '', '')}")
    return figure


_kept: dict[tuple[int, str], tuple[Figure, bytes]] = {}
_DRAWERS: dict[str, Any] = {"curves": _draw_curves, "heat": _draw_heat, "dots": _draw_dots, "forest": _draw_forest}
