"""``report.json``: the whole report for machines, with the source of every number."""

from __future__ import annotations

import json
from typing import Any

from crucible.projections.report.model import (
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
from crucible.projections.report.trace import number_json

SCHEMA_VERSION = 1
_page = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=1).encode
_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_of(report: Report) -> bytes:
    """The file. Texts are lists of strings, ``{"number": id}``, ``{"id": text}`` and ``{"time": text}``.

    The numbers come last, one a line.
    """
    page = {
        "schema_version": SCHEMA_VERSION,
        "subject_kind": report.subject_kind,
        "subject_id": report.subject_id,
        "name": report.name,
        "position": report.position,
        "log_id": report.log_id,
        "marks": list(report.marks),
        "head": [_block(block) for block in report.head],
        "sections": [
            {"id": section.id, "title": section.title, "blocks": [_block(block) for block in section.blocks]}
            for section in report.sections
        ],
        "settings": dict(report.settings),
    }
    numbers = ",\n".join(_line(number_json(number)) for number in report.numbers)
    head = _page(page).removesuffix("\n}")
    return f'{head},\n "numbers": [\n{numbers}\n]}}\n'.encode()


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Paragraph):
        return {"kind": "paragraph", "text": _text(block.text), "tone": block.tone}
    if isinstance(block, Items):
        return {"kind": "items", "items": [_text(item) for item in block.items]}
    if isinstance(block, Figure):
        numbers = [number.id for number in block.sources]
        return {"kind": "figure", "id": block.id, "caption": _text(block.caption), "numbers": numbers}
    return _table(block)


def _table(table: Table) -> dict[str, Any]:
    return {
        "kind": "table",
        "id": table.id,
        "caption": _text(table.caption),
        "columns": [{"title": column.title, "unit": column.unit} for column in table.columns],
        "rows": [[_text(cell) for cell in row] for row in table.rows],
        "emphasized": sorted(table.emphasized),
    }


def _text(text: Text) -> list[Any]:
    return [_part(part) for part in text]


def _part(part: Part) -> Any:
    if isinstance(part, Number):
        return {"number": part.id}
    if isinstance(part, Id):
        return {"id": part.full or part.text}
    if isinstance(part, Moment):
        return {"time": part.iso}
    return part
