"""Results, families of them and what else is computed, as Markdown, LaTeX (booktabs), HTML, JSON and CSV.

Each interval stands with its own level, texts are escaped for their format, and no number is rounded to zero. CSV and
JSON hold numbers as they are; the other formats, four significant digits. A p value that no double holds is written
from its logarithm in each of them: ``2.1e-552``, in JSON as a text.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

from crucible.bench.comparison import Compared
from crucible.bench.encoding import plain_p, to_plain
from crucible.bench.experiments import ComparedArms
from crucible.bench.families import Family
from crucible.bench.result import Interval
from crucible.bench.samples import Checks
from crucible.bench.table_lines import Line, lines
from crucible.errors import StatisticsError
from crucible.markup import csv_cell, latex_text, markdown_text
from crucible.numerals import percent, written, written_p
from crucible.plural import plural

ExportFormat = Literal["markdown", "latex", "html", "json", "csv"]
EXPORT_FORMATS: Final[tuple[ExportFormat, ...]] = get_args(ExportFormat)
Exported = Any
"""A value of one of the kinds of `crucible.bench.table_lines`, or a mapping of labels to such values."""
TITLES: Final = (
    "comparison", "test", "estimate", "interval", "statistic", "df", "p", "adjusted p", "effect", "n", "details",
    "note",
)  # fmt: skip


def export(what: Exported, form: ExportFormat) -> str:
    """A result, a family, whatever else a function of `crucible.bench` answers, or several by label.

    ``form`` is one of ``EXPORT_FORMATS``. Each pair of a post-hoc test has a line of its own. Raises
    ``StatisticsError`` for an unknown format and for what can't be exported.
    """
    checks = Checks()
    checks.choice("form", form, EXPORT_FORMATS)
    try:
        found = lines(what)
    except StatisticsError as error:
        checks.problems += error.problems
    checks.done()
    return _WRITERS[form](what, found)


def _table(found: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells for people; columns in which nothing stands are left out."""
    cells = [_cells(line) for line in found]
    kept = [place for place in range(len(TITLES)) if any(row[place] for row in cells)]
    return [TITLES[place] for place in kept], [[row[place] for place in kept] for row in cells]


def _cells(line: Line) -> list[str]:
    shown = next((effect for effect in line.effects if effect.value is not None), None)
    effect = "" if shown is None else f"{shown.name} {written(shown.value)}"
    if shown is not None and shown.interval is not None:
        effect = f"{effect} {_interval_text(shown.interval)}"
    name = f"{line.statistic_name} = " if line.statistic_name else ""
    details = line.details if line.is_detailed else {}
    return [
        line.label,
        line.test,
        "" if line.estimate is None else written(line.estimate),
        "" if line.interval is None else _interval_text(line.interval),
        "" if line.statistic is None else f"{name}{written(line.statistic)}",
        ", ".join(written(float(each)) for each in line.df),
        "" if line.p_value is None or line.is_corrected else written_p(line.p_value, line.ln_p),
        "" if line.p_adjusted is None else written_p(line.p_adjusted, line.ln_p_adjusted),
        effect,
        " + ".join(written(each) for each in line.n),
        ", ".join(f"{name} {written(value)}" for name, value in details.items()),
        "; ".join([*([line.reason] if line.reason else []), *line.warnings]),
    ]


def _interval_text(interval: Interval) -> str:
    low = "−∞" if interval.low is None else written(interval.low)
    high = "∞" if interval.high is None else written(interval.high)
    left, right = "(" if interval.low is None else "[", ")" if interval.high is None else "]"
    return f"{left}{low}, {high}{right} {percent(interval.level)}"


def _caption(what: Exported) -> str:
    if isinstance(what, Compared):
        return what.conclusion
    if isinstance(what, ComparedArms):
        return " ".join(what.conclusions)
    if not isinstance(what, Family):
        return ""
    name = f"{what.name}: " if what.name else ""
    tests = f"{what.n_tests} {plural(what.n_tests, 'test')}"
    return f"{name}{tests}, corrected by {what.correction}, alpha {what.alpha:g}"


def _markdown(what: Exported, found: Sequence[Line]) -> str:
    titles, rows = _table(found)
    lines = [f"{markdown_text(_caption(what))}\n"] if _caption(what) else []
    lines += [f"| {' | '.join(titles)} |", f"|{'|'.join('---' for _ in titles)}|"]
    lines += [f"| {' | '.join(markdown_text(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _latex(what: Exported, found: Sequence[Line]) -> str:
    titles, rows = _table(found)
    lines = [rf"\begin{{tabular}}{{@{{}}{'l' * len(titles)}@{{}}}}", r"\toprule"]
    lines += [" & ".join(rf"\textbf{{{latex_text(title)}}}" for title in titles) + r" \\", r"\midrule"]
    lines += ["{}" + " & ".join(latex_text(cell) for cell in row) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if _caption(what):
        lines.append(rf"\par\smallskip {latex_text(_caption(what))}")
    return "\n".join(lines) + "\n"


def _html(what: Exported, found: Sequence[Line]) -> str:
    titles, rows = _table(found)
    caption = f"<caption>{html.escape(_caption(what))}</caption>" if _caption(what) else ""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "\n".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def _json(what: Exported, _: Sequence[Line]) -> str:
    return json.dumps(_plain(what), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(what: Exported) -> Any:
    if isinstance(what, Mapping):
        return [_labelled(str(label), _plain(value)) for label, value in what.items()]
    if isinstance(what, Family):
        tests = [
            {"label": each.label, **_corrected(each.p_adjusted, each.ln_p_adjusted), **to_plain(each.result)}
            for each in what.members
        ]
        return {"name": what.name, "correction": what.correction, "alpha": what.alpha, "tests": tests}
    plain = to_plain(what)
    return plain | {"family": _plain(what.family)} if isinstance(what, ComparedArms) else plain


def _labelled(label: str, plain: Any) -> dict[str, Any]:
    return {"label": label, **(plain if isinstance(plain, dict) else {"results": plain})}


def _corrected(p: float | None, ln_p: float | None) -> dict[str, Any]:
    return {"p_adjusted": plain_p(p, ln_p), "ln_p_adjusted": ln_p}


CSV_COLUMNS: Final = (
    "label", "test", "status", "reason", "estimate", "estimate_name", "standard_error", "low", "high", "level",
    "statistic_name", "statistic", "df", "p_value", "ln_p", "p_adjusted", "ln_p_adjusted", "effect_name", "effect",
    "effect_low", "effect_high", "n", "n_dropped", "alternative", "null", "method", "warnings", "seed", "digest",
    "details",
)  # fmt: skip


def _csv(_: Exported, found: Sequence[Line]) -> str:
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for line in found:
        for effect in line.effects or (None,):
            ends = None if effect is None else effect.interval
            own = line.interval
            row: Sequence[Any] = (
                line.label, line.test, line.status, line.reason, line.estimate, line.estimate_name,
                line.standard_error, own and own.low, own and own.high, own and own.level,
                line.statistic_name, line.statistic, _joined(line.df), plain_p(line.p_value, line.ln_p), line.ln_p,
                plain_p(line.p_adjusted, line.ln_p_adjusted), line.ln_p_adjusted, effect and effect.name,
                effect and effect.value, ends and ends.low, ends and ends.high, _joined(line.n),
                _joined(line.n_dropped), line.alternative, line.null, line.method, "; ".join(line.warnings),
                line.seed, line.digest, " ".join(f"{name}={value!r}" for name, value in line.details.items()),
            )  # fmt: skip
            writer.writerow([csv_cell(cell) for cell in row])
    return page.getvalue()


def _joined(values: Iterable[float]) -> str:
    return " ".join(repr(value) for value in values)


_WRITERS: Final[Mapping[str, Callable[[Exported, Sequence[Line]], str]]] = {
    "markdown": _markdown,
    "latex": _latex,
    "html": _html,
    "json": _json,
    "csv": _csv,
}
