"""HTML: one file that asks for nothing, in which every number leads to its source."""

from __future__ import annotations

import functools
from collections import defaultdict
from importlib import resources
from typing import Any

from crucible.projections.report.drawing import inline_svg
from crucible.projections.report.model import (
    MARKS,
    Block,
    Figure,
    Id,
    Items,
    Mark,
    Moment,
    Number,
    Paragraph,
    Part,
    Report,
    Source,
    Table,
    Text,
)
from crucible.projections.report.trace import EVENTS_LISTED_MAX, call_text, events_json, value_text

KINDS = {"run": "Report of a run", "submission": "Report of an experiment"}
UNSEEN = dict.fromkeys(
    [
        code
        for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
        if code not in (9, 10, 13)
    ],
    "\ufffd",
)
"""Characters that a page would not show, or that turn the order of others around: a sign stands for each."""
Markup = Any
"""``markupsafe.Markup``: text that is HTML already; whatever is formatted into it is escaped."""


def html_of(report: Report) -> bytes:
    """The page."""
    said = {mark for number in report.numbers for mark in number.marks}
    page = _template().render(
        report=report,
        style=_markup()(_file("page.css")),
        kind=KINDS[report.subject_kind],
        marks=[(mark.capitalize(), MARKS[mark]) for mark in report.marks],
        legend=[(mark, meaning) for mark, meaning in MARKS.items() if mark in said],
        head=[_block(block) for block in report.head],
        sections=[
            {"id": section.id, "title": section.title, "blocks": [_block(block) for block in section.blocks]}
            for section in report.sections
        ],
        sources=_sources(report),
    )
    return str(page).translate(UNSEEN).encode()


@functools.cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_file("page.html"))


@functools.cache
def _markup() -> Any:
    from markupsafe import Markup as Safe

    return Safe


def _file(name: str) -> str:
    return resources.files("crucible.projections.report").joinpath(name).read_text(encoding="utf-8")


def _sources(report: Report) -> list[dict[str, Any]]:
    standing: dict[str, list[Number]] = defaultdict(list)
    for number in report.numbers:
        standing[number.source.id].append(number)
    return [
        {
            "id": source.id,
            "sql": source.sql,
            "numbers": [
                {"id": n.id, "label": n.label, "value": value_text(n), "call": call_text(n)}
                for n in standing[source.id]
            ],
            "events": _events(source),
        }
        for source in report.sources
    ]


def _events(source: Source) -> str:
    ids = source.event_ids
    if not ids:
        return "No event: it is a setting of the report, or there is nothing of the kind."
    if len(ids) <= EVENTS_LISTED_MAX:
        return f"Events: {', '.join(ids)}"
    (span,) = events_json(source)
    return f"{span['count']} events from {span['first']} to {span['last']}, SHA-256 of the list {span['sha256']}"


def _block(block: Block) -> Markup:
    safe = _markup()
    if isinstance(block, Paragraph):
        tone = "" if block.tone == "plain" else f' class="tone {block.tone}"'
        text = safe("<p{}>{}</p>").format(safe(tone), _text(block.text))
        return safe("<details><summary>{}</summary>{}</details>").format(block.folded, text) if block.folded else text
    if isinstance(block, Items):
        items = safe("").join(safe("<li>{}</li>").format(_text(item)) for item in block.items)
        return safe("<ul>{}</ul>").format(items)
    if isinstance(block, Figure):
        return _figure(block)
    return _table(block)


def _figure(figure: Figure) -> Markup:
    safe = _markup()
    drawing = safe(inline_svg(figure).replace("<svg ", '<svg aria-hidden="true" ', 1))
    links = safe("").join(_link(number, "source") for number in figure.sources)
    return safe(
        '<figure id="{}"><div class="drawing" role="img" aria-label="{}">{}</div>'
        "<figcaption>{} {}</figcaption></figure>"
    ).format(figure.id, figure.alternative, drawing, _text(figure.caption), links)


def _table(table: Table) -> Markup:
    safe = _markup()
    heads = safe("").join(
        safe('<th scope="col"{}>{}{}</th>').format(
            safe(' class="num"' if column.is_number else ""),
            safe('<span class="id">{}</span>').format(column.title),
            safe('<span class="unit id">{}</span>').format(column.unit) if column.unit else "",
        )
        for column in table.columns
    )
    rows = safe("\n").join(
        safe("<tr{}>{}</tr>").format(
            safe(' class="chosen"' if place in table.emphasized else ""),
            safe("").join(
                safe("<td{}>{}</td>").format(safe(' class="num"' if column.is_number else ""), _text(cell))
                for column, cell in zip(table.columns, row, strict=True)
            ),
        )
        for place, row in enumerate(table.rows)
    )
    return safe(
        '<div class="scroll" tabindex="0" role="region" aria-label="Table">'
        '<table id="{}"><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(table.id, _text(table.caption), heads, rows)


def _text(text: Text) -> Markup:
    return _markup()("").join(_part(part) for part in text)


def _part(part: Part) -> Markup:
    safe = _markup()
    if isinstance(part, Number):
        return _number(part)
    if isinstance(part, Id):
        title = safe(' title="{}"').format(part.full) if part.full else ""
        return safe('<code class="id"{}>{}</code>').format(title, part.text)
    if isinstance(part, Moment):
        return safe('<time datetime="{0}">{0}</time>').format(part.iso) if part.iso else safe("–")
    return safe("{}").format(part)


def _number(number: Number) -> Markup:
    safe = _markup()
    marks = safe("").join(_mark(mark) for mark in number.marks)
    if isinstance(number.value, str):
        quote = safe('<span class="quote" data-source="{}">{}</span> ').format(number.source.id, number.text)
        return quote + marks + _link(number, "source")
    return _link(number, number.text) + marks


def _link(number: Number, text: str) -> Markup:
    kind = "src" if text == "source" else "n"
    form = '<a class="{}" href="#{}" title="{}">{}</a>'
    return _markup()(form).format(kind, number.source.id, number.label, text)


def _mark(mark: Mark) -> Markup:
    return _markup()('<sup class="m" title="{}">{}</sup>').format(MARKS[mark], mark)
