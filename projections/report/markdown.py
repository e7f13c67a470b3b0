"""Markdown (CommonMark with GitHub's tables): for pull requests, wikis and terminals."""

from __future__ import annotations

import re

from crucible.markup import markdown_text
from crucible.projections.report.model import (
    MARKS,
    Block,
    Figure,
    Id,
    Items,
    Moment,
    Number,
    Paragraph,
    Part,
    Report,
    Table,
    Text,
)

_BLOCK = re.compile(r"^(\s*)([-+=]|\d+(?=[.)]))")
"""What would begin a list or underline a heading, at the start of a line."""
_TONES = {"good": "✓ ", "bad": "✗ ", "open": "? ", "plain": ""}


def markdown_of(report: Report) -> bytes:
    """The page; figures lie beside it as SVG."""
    parts = [f"# {markdown_text(report.title)}"]
    parts += [f"**{mark.capitalize()}**: {meaning}." for mark, meaning in MARKS.items() if mark in report.marks]
    parts += [_block(block) for block in report.head]
    for section in report.sections:
        parts.append(f"## {markdown_text(section.title)}")
        parts += [_block(block) for block in section.blocks]
    parts.append("The source of every number (SQL, function, events) is in `report.json`, by its id in `report.csv`.")
    return ("\n\n".join(parts) + "\n").encode()


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"{_TONES[block.tone]}{_line(block.text)}"
    if isinstance(block, Items):
        return "\n".join(f"- {_line(item)}" for item in block.items)
    if isinstance(block, Figure):
        return f"![{markdown_text(block.alternative)}](figures/{block.id}.svg)\n\n{_text(block.caption)}"
    return _table(block)


def _table(table: Table) -> str:
    titles = [
        f"{markdown_text(c.title)} ({markdown_text(c.unit)})" if c.unit else markdown_text(c.title)
        for c in table.columns
    ]
    lines = [f"| {' | '.join(titles)} |", f"|{'|'.join('--:' if c.is_number else '---' for c in table.columns)}|"]
    for place, row in enumerate(table.rows):
        cells = [_text(cell) for cell in row]
        if place in table.emphasized:
            cells[0] = f"**{cells[0]}**"
        lines.append(f"| {' | '.join(cells)} |")
    return f"{_text(table.caption)}\n\n" + "\n".join(lines)


def _line(text: Text) -> str:
    """A text that stands at the start of a line."""
    return _BLOCK.sub(_kept, _text(text))


def _kept(start: re.Match[str]) -> str:
    space, what = start.groups()
    return f"{space}{what}&#8288;" if what[0].isdigit() else f"{space}\\{what}"


def _text(text: Text) -> str:
    return "".join(_part(part) for part in text)


def _part(part: Part) -> str:
    if isinstance(part, Number):
        marks = f" ({', '.join(part.marks)})" if part.marks else ""
        return markdown_text(part.text) + marks
    if isinstance(part, Id):
        is_plain = (
            part.text.isprintable() and not set("`|\\<&") & set(part.text) and part.text.strip() == part.text != ""
        )
        return f"`{part.text}`" if is_plain else markdown_text(part.text)
    if isinstance(part, Moment):
        return markdown_text(part.iso or "–")
    return markdown_text(part)
