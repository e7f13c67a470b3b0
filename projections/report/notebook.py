"""A notebook that computes the report's numbers once more from the values beside it, with NumPy and SciPy alone."""

from __future__ import annotations

from typing import Any

from crucible.markup import markdown_text
from crucible.projections.report.model import Report

_LOAD = """\
import csv, json, math
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

report = json.loads(Path("report.json").read_text(encoding="utf-8"))
numbers = {number["id"]: number for number in report["numbers"]}
settings = report["settings"]


def rows_of(name):
    with Path(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def value_of(text):
    return float(text) if text else None


runs = rows_of("runs.csv")
curves = rows_of("curves.csv")
print(report["name"], len(runs), "runs at", report["position"])"""

_MEANS = """\
def interval(values, level, low, high):
    values = np.array(values)
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None, None
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    bottom = mean - half if low is None else max(low, mean - half)
    top = mean + half if high is None else min(high, mean + half)
    return mean, bottom, top


metric = settings["metric"]
cells = defaultdict(list)
for run in runs:
    value = value_of(run[f"metric:{metric}"]) if metric else None
    if value is not None and math.isfinite(value):
        cells[run["cell_index"], run["label"]].append(value)
computed = {
    label: interval(values, settings["level"], settings["low"], settings["high"])
    for (_, label), values in cells.items()
}
for label, (mean, low, high) in computed.items():
    print(f"{label or 'the only cell':24} {mean:.6g}", "" if low is None else f"[{low:.6g}, {high:.6g}]")"""

_COMPARE = """\
reported = {number["label"]: number["value"] for number in report["numbers"]}
compared = 0
for label, (mean, low, high) in computed.items():
    name = f"{metric} of {label or 'the only cell'}"
    for what, value in ((f"mean {name}", mean), (f"{name}, lower end", low), (f"{name}, upper end", high)):
        if value is not None and reported.get(what) is not None:
            assert math.isclose(value, reported[what], rel_tol=1e-9, abs_tol=1e-12), (what, value, reported[what])
            compared += 1
print(compared, "numbers of the report were computed again, and are the same")"""

_DOTS = """\
if computed:
    labels = list(computed)
    figure, axis = plt.subplots(figsize=(7, 1 + 0.22 * len(labels)), layout="constrained")
    for place, label in enumerate(labels):
        mean, low, high = computed[label]
        if low is not None:
            axis.plot([low, high], [place, place], color="#0072B2", linewidth=1)
        axis.plot([mean], [place], "o", color="#0072B2", markersize=3.5)
    axis.set_yticks(range(len(labels)), [label or "the only cell" for label in labels], parse_math=False)
    axis.invert_yaxis()
    axis.set_xlabel(metric, parse_math=False)
    plt.show()"""

_CURVES = """\
for name in dict.fromkeys(row["metric"] for row in curves):
    figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for label in dict.fromkeys(row["label"] for row in curves if row["metric"] == name):
        points = [row for row in curves if row["metric"] == name and row["label"] == label]
        steps = [int(row["step"]) for row in points]
        (line,) = axis.plot(steps, [float(row["mean"]) for row in points], linewidth=1)
        if all(row["low"] for row in points):
            low, high = ([float(row[end]) for row in points] for end in ("low", "high"))
            axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axis.set_xlabel("step")
    axis.set_ylabel(name, parse_math=False)
    plt.show()"""

_TRACE = """\
def source(number_id):
    number = numbers[number_id]
    print(number["label"], "=", number["text"])
    print(number["sql"])
    print(number["function"], number["parameters"])
    print(number["event_ids"])


source(report["numbers"][-1]["id"])"""


def notebook_of(report: Report) -> bytes:
    """The notebook, without outputs; it reads ``report.json``, ``runs.csv`` and ``curves.csv`` beside it."""
    import nbformat

    form: Any = nbformat.v4
    title = f"# {markdown_text(report.title)}\n\nThe values of this report, computed once more without Crucible."
    texts: list[tuple[str, str]] = [
        ("markdown", title),
        ("code", _LOAD),
        ("markdown", "## Means and intervals\n\nMean over repeats, and Student's t interval."),
        ("code", _MEANS),
        ("code", _COMPARE),
        ("code", _DOTS),
        ("markdown", "## Learning curves"),
        ("code", _CURVES),
        ("markdown", "## Where a number comes from\n\nPaste the SQL into `crucible sql` to see the rows behind it."),
        ("code", _TRACE),
    ]
    make = {"markdown": form.new_markdown_cell, "code": form.new_code_cell}
    cells: list[Any] = []
    for place, (kind, source) in enumerate(texts, 1):
        cell = make[kind](source)
        cell["id"] = f"cell-{place}"  # a random one would differ each time
        cells.append(cell)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = form.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.validate(book)
    return f"{form.writes(book)}\n".encode()
