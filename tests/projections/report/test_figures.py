"""Figures of what people really measure: no numbers, the greatest and the smallest ones, many cells, few steps."""

import math

import pytest

from crucible.numerals import decimals_of, written
from crucible.projections.report.model import Figure, blocks_in
from crucible.projections.report.render import FORMATS, render
from tests.projections.report import grids


def shapes(values, losses, two_axes):
    """A grid of as many cells as there are values, two repeats each."""
    history = grids.History(grids.memory_journal())
    history.submit(2 * len(values))
    for cell, value in enumerate(values):
        for repeat in (1, 2):
            params = {"fit.x": cell // 2, "fit.y": cell % 2} if two_axes else {"fit.x": f"x{cell}"}
            history.whole_run(
                f"r{cell}-{repeat}", cell=cell, repeat=repeat, params=params, losses=losses, accuracy=value
            )
    history.close(2 * len(values), 1)
    return history


def figures(report):
    return {block.id: block for block in blocks_in(report) if isinstance(block, Figure)}


EXTREMES = {
    "no number": [math.nan] * 4,
    "infinite": [math.inf, -math.inf, 1.0, math.inf],
    "greatest": [1.7e308, -1.7e308, 1.7e308, 1.6e308],
    "smallest": [5e-324, 1e-320, 0.0, -5e-324],
    "tiny": [1.4e-8, 1.5e-12, 3e-30, 2e-9],
    "all the same": [0.5] * 4,
}


@pytest.mark.parametrize("two_axes", [True, False], ids=["heat", "dots"])
@pytest.mark.parametrize("name", EXTREMES)
def test_whatever_was_measured_has_a_report(tmp_path, name, two_axes):
    values = EXTREMES[name]
    report = grids.report_of(shapes(values, values, two_axes), tmp_path)
    files = render(report, FORMATS)
    assert "report.html" in files
    assert "report.tex" in files
    run = grids.report_of(shapes(values, values, two_axes), tmp_path / "run", "run", "r1-1")
    assert "report.html" in render(run, ["html"])


def test_curves_of_many_cells_are_those_of_the_best_cells(tmp_path):
    values = [cell / 100 for cell in range(20)]
    curves = figures(grids.report_of(shapes(values, [3.0, 2.0, 1.0], two_axes=False), tmp_path))["curves-a"]
    labels = [line.label for panel in curves.drawing.panels for line in panel.lines]
    assert labels == [f"lr{cell}" for cell in range(19, 12, -1)]
    words = "".join(part if isinstance(part, str) else part.text for part in curves.caption)
    assert words.endswith("Drawn are only the best cells by val/accuracy.")


def test_an_axis_of_steps_has_whole_numbers(tmp_path):
    from crucible.projections.report import drawing

    for losses in ([3.0, 2.0], [3.0, 2.0, 1.0], [1.0] * 6):
        curves = figures(grids.report_of(shapes([0.1, 0.2], losses, two_axes=False), tmp_path / str(len(losses))))
        with drawing._canvas() as plt:
            made = drawing._draw_curves(plt, curves["curves-a"].drawing)
            made.canvas.draw()
            ticks = [tick.get_text() for axis in made.axes for tick in axis.get_xticklabels()]
            plt.close(made)
        assert ticks
        assert all(text == str(int(text)) for text in ticks), ticks


def test_no_rounding_leaves_less_than_two_digits_of_a_value():
    decimals = decimals_of([1e-9, 2e-9, 3e-9])
    assert written(1.4e-8, decimals) == "1.4e-8"
    assert written(1.444e-8, decimals) == "1.44e-8"
    assert written(0.500000001234, decimals_of([1e-10])) == "0.50000000123"
    assert written(0.0, decimals) == "0"
    assert [written(value, 2) for value in (0.0051, 0.034, 0.34, -0.0004)] == ["0.0051", "0.034", "0.34", "−0.0004"]
