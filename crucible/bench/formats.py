"""Results and families of them as Markdown, LaTeX (booktabs), HTML, JSON and CSV.

Each interval stands with its own level, texts are escaped for their format, and no number is rounded to zero. CSV and
JSON hold numbers as they are; the other formats, four significant digits.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

from crucible.bench.encoding import to_plain
from crucible.bench.families import Family
from crucible.bench.result import Interval, TestResult
from crucible.bench.samples import Checks
from crucible.markup import csv_cell, latex_text, markdown_text
from crucible.numerals import percent, written, written_p

ExportFormat = Literal["markdown", "latex", "html", "json", "csv"]
EXPORT_FORMATS: Final[tuple[ExportFormat, ...]] = get_args(ExportFormat)
Exported = TestResult | Family | Mapping[str, TestResult]
Row = tuple[str, TestResult, float | None, float | None]
"""Label, result, corrected p value and its logarithm."""


def export(what: Exported, form: ExportFormat) -> str:
    """A result, results by label, or a family, in one of ``EXPORT_FORMATS``.

    Raises ``StatisticsError`` for an unknown format.
    """
    checks = Checks()
    checks.choice("form", form, EXPORT_FORMATS)
    given: Any = what
    listed = list(given.values()) if isinstance(given, Mapping) else [given]
    if not isinstance(given, Family) and not all(isinstance(each, TestResult) for each in listed):
        checks.add("what", "this can't be exported", type(given).__name__, "a result, results by label, or a family")
    checks.done()
    return _WRITERS[form](what)


def _rows(what: Exported) -> list[Row]:
    if isinstance(what, TestResult):
        return [("", what, None, None)]
    if isinstance(what, Family):
        return [(each.label, each.result, each.p_adjusted, each.ln_p_adjusted) for each in what.members]
    return [(str(label), result, None, None) for label, result in what.items()]


def _table(what: Exported) -> tuple[list[str], list[list[str]]]:
    """Titles and cells for people; columns in which nothing stands are left out."""
    titles = ["comparison", "test", "estimate", "interval", "statistic", "df", "p", "adjusted p", "effect", "n", "note"]
    cells = [_cells(*row) for row in _rows(what)]
    for _, result, _, _ in _rows(what):
        cells += [_pair_cells(each, result) for each in result.comparisons]
    kept = [place for place in range(len(titles)) if any(row[place] for row in cells)]
    return [titles[place] for place in kept], [[row[place] for place in kept] for row in cells]


def _cells(label: str, result: TestResult, p_adjusted: float | None, ln_p_adjusted: float | None) -> list[str]:
    shown = next((effect for effect in result.effects if effect.value is not None), None)
    effect = "" if shown is None else f"{shown.name} {written(shown.value)}"
    if shown is not None and shown.interval is not None:
        effect = f"{effect} {_interval_text(shown.interval)}"
    name = f"{result.statistic_name} = " if result.statistic_name else ""
    notes = [*([result.reason] if result.reason else []), *result.warnings]
    return [
        label,
        result.test,
        "" if result.estimate is None else written(result.estimate),
        "" if result.interval is None else _interval_text(result.interval),
        "" if result.statistic is None else f"{name}{written(result.statistic)}",
        ", ".join(written(float(each)) for each in result.df),
        "" if result.p_value is None else written_p(result.p_value, result.ln_p),
        "" if p_adjusted is None else written_p(p_adjusted, ln_p_adjusted),
        effect,
        " + ".join(str(each) for each in result.n),
        "; ".join(notes),
    ]


def _pair_cells(pair: Any, result: TestResult) -> list[str]:
    """The row of one pair of a post-hoc test, whose p value is corrected by the test itself."""
    return [
        f"{pair.first} − {pair.second}",
        result.test,
        "" if pair.estimate is None else written(pair.estimate),
        "" if pair.interval is None else _interval_text(pair.interval),
        "" if pair.statistic is None else written(pair.statistic),
        "" if pair.df is None else written(float(pair.df)),
        "",
        "" if pair.p_value is None else written_p(pair.p_value, pair.ln_p),
        "",
        "",
        "",
    ]


def _interval_text(interval: Interval) -> str:
    low = "−∞" if interval.low is None else written(interval.low)
    high = "∞" if interval.high is None else written(interval.high)
    left, right = "(" if interval.low is None else "[", ")" if interval.high is None else "]"
    return f"{left}{low}, {high}{right} {percent(interval.level)}"


def _caption(what: Exported) -> str:
    if not isinstance(what, Family):
        return ""
    name = f"{what.name}: " if what.name else ""
    return f"{name}{what.n_tests} tests, corrected by {what.correction}, alpha {what.alpha:g}"


def _markdown(what: Exported) -> str:
    titles, rows = _table(what)
    lines = [f"{markdown_text(_caption(what))}\n"] if _caption(what) else []
    lines += [f"| {' | '.join(titles)} |", f"|{'|'.join('---' for _ in titles)}|"]
    lines += [f"| {' | '.join(markdown_text(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _latex(what: Exported) -> str:
    titles, rows = _table(what)
    lines = [rf"\begin{{tabular}}{{@{{}}{'l' * len(titles)}@{{}}}}", r"\toprule"]
    lines += [" & ".join(rf"\textbf{{{latex_text(title)}}}" for title in titles) + r" \\", r"\midrule"]
    lines += ["{}" + " & ".join(latex_text(cell) for cell in row) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if _caption(what):
        lines.append(rf"\par\smallskip {latex_text(_caption(what))}")
    return "\n".join(lines) + "\n"


def _html(what: Exported) -> str:
    titles, rows = _table(what)
    caption = f"<caption>{html.escape(_caption(what))}</caption>" if _caption(what) else ""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "\n".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def _json(what: Exported) -> str:
    if isinstance(what, TestResult):
        return json.dumps(to_plain(what), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    rows = [
        {"label": label, "p_adjusted": p, "ln_p_adjusted": ln_p, **to_plain(result)}
        if isinstance(what, Family)
        else {"label": label, **to_plain(result)}
        for label, result, p, ln_p in _rows(what)
    ]
    whole: Any = rows
    if isinstance(what, Family):
        whole = {"name": what.name, "correction": what.correction, "alpha": what.alpha, "tests": rows}
    return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


CSV_COLUMNS: Final = (
    "label", "test", "status", "reason", "estimate", "estimate_name", "standard_error", "low", "high", "level",
    "statistic_name", "statistic", "df", "p_value", "ln_p", "p_adjusted", "ln_p_adjusted", "effect_name", "effect",
    "effect_low", "effect_high", "n", "n_dropped", "alternative", "null", "method", "warnings", "seed", "digest",
)  # fmt: skip


def _csv(what: Exported) -> str:
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for label, result, p_adjusted, ln_p_adjusted in _rows(what):
        for effect in result.effects or (None,):
            ends = None if effect is None else effect.interval
            own = result.interval
            row: Sequence[Any] = (
                label, result.test, result.status, result.reason, result.estimate, result.estimate_name,
                result.standard_error, own and own.low, own and own.high, own and own.level,
                result.statistic_name, result.statistic, _joined(result.df), result.p_value, result.ln_p,
                p_adjusted, ln_p_adjusted, effect and effect.name, effect and effect.value,
                ends and ends.low, ends and ends.high, _joined(result.n), _joined(result.n_dropped),
                result.alternative, result.null, result.method, "; ".join(result.warnings), result.seed, result.digest,
            )  # fmt: skip
            writer.writerow([csv_cell(cell) for cell in row])
    return page.getvalue()


def _joined(values: Iterable[float]) -> str:
    return " ".join(repr(value) for value in values)


_WRITERS: Final[Mapping[str, Callable[[Exported], str]]] = {
    "markdown": _markdown,
    "latex": _latex,
    "html": _html,
    "json": _json,
    "csv": _csv,
}
