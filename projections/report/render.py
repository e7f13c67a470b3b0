"""From a report to its files: which formats there are, and what each needs beside it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Sequence

from crucible.errors import DependencyError, UsageError
from crucible.projections.report.model import Figure, Report, blocks_in
from crucible.version import VERSION

FORMATS = ("html", "md", "tex", "ipynb", "csv", "json")
NEEDED = {"jinja2": "jinja2", "matplotlib": "matplotlib", "nbformat": "nbformat"}
"""Packages of the extra ``report`` and how they are imported."""
RENDERERS = ("matplotlib", "jinja2", "nbformat", "numpy", "scipy")
"""Packages on whose versions the bytes of a report depend."""
Files = dict[str, bytes]


def require_renderers() -> None:
    """Raise ``DependencyError`` that names the extra if a package that renders is not installed."""
    missing = [package for package, module in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        message = f"reports need {', '.join(missing)}: pip install 'crucible-experiments[report]'"
        raise DependencyError(message)


def checked_formats(formats: Iterable[str]) -> list[str]:
    """The formats in their fixed order, each once. Raises ``UsageError`` for any that there is not."""
    asked = list(formats)
    unknown = [name for name in asked if name not in FORMATS]
    if unknown:
        message = f"no format is called {', '.join(map(repr, unknown))}; there are {', '.join(FORMATS)} and all"
        raise UsageError(message)
    return [name for name in FORMATS if name in asked]


def render(report: Report, formats: Sequence[str]) -> Files:
    """The files by their paths in the report's folder. ``report.json`` is always there: it holds every source.

    Raises ``DependencyError`` if a package is missing.
    """
    require_renderers()
    from crucible.projections.report.csv_file import csv_of, data_csv
    from crucible.projections.report.json_file import json_of

    files: Files = {"report.json": json_of(report)}
    if "html" in formats:
        from crucible.projections.report.html_file import html_of

        files["report.html"] = html_of(report)
    if "md" in formats:
        from crucible.projections.report.markdown import markdown_of

        files |= {"report.md": markdown_of(report), **_figures(report, "svg")}
    if "tex" in formats:
        from crucible.projections.report.latex import latex_of

        files |= {"report.tex": latex_of(report), **_figures(report, "pdf")}
    if "ipynb" in formats:
        from crucible.projections.report.notebook import notebook_of

        files["report.ipynb"] = notebook_of(report)
    if "csv" in formats:
        files["report.csv"] = csv_of(report)
    if "csv" in formats or "ipynb" in formats:
        files |= {f"{table.name}.csv": data_csv(table) for table in report.data}
    return dict(sorted(files.items()))


def versions() -> dict[str, str]:
    """What the bytes depend on beside the log."""
    return {"crucible": VERSION, **{name: importlib.metadata.version(name) for name in RENDERERS}}


def _figures(report: Report, form: str) -> Files:
    """Every figure as a file."""
    from crucible.projections.report.drawing import drawn

    return {
        f"figures/{block.id}.{form}": drawn(block, form)  # type: ignore[arg-type]
        for block in blocks_in(report)
        if isinstance(block, Figure)
    }
