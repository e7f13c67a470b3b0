"""What a report is made of: sections, tables, figures and sentences, with numbers that know where they come from.

A model is plain frozen values. Renderers lay it out and compute nothing, so that the same numbers stand in all formats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

Mark = Literal["simulated", "reused", "smoke", "superseded"]
MARKS: Mapping[Mark, str] = {
    "simulated": "an adapter simulated it: it says nothing about the world",
    "reused": "the result of an earlier run stands for it",
    "smoke": "of a smoke test: the first cell, one repeat, a few steps",
    "superseded": "repeated by a later claim, and not counted",
}
"""What may be said of a number, in the order in which it is said, and what it means."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One SELECT over the read model and the events behind its rows; several numbers may stand on it."""

    id: str
    sql: str
    event_ids: tuple[str, ...]
    """Events behind the rows, sorted, each once."""


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """A value, how it is written, and everything that is needed to compute it again."""

    id: str
    label: str
    """What it is, in words, for lists of numbers."""
    value: Any
    """float, int, str, bool, or None: not measured."""
    text: str
    """The value as it is written in every format."""
    unit: str | None
    function: str
    """Dotted name of a pure function: it takes the rows without their ``event_id``, and ``parameters``."""
    parameters: Mapping[str, Any]
    source: Source
    marks: tuple[Mark, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Id:
    """A name, digest, position, version or command: no number, whatever digits are in it."""

    text: str
    full: str = ""
    """The whole of it, where ``text`` is shortened."""


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """A time: ISO 8601, UTC."""

    iso: str | None


Part: TypeAlias = "str | Number | Id | Moment"
Text: TypeAlias = "tuple[Part, ...]"
"""Words of our own, with numbers and names in between. What people wrote is a ``Number`` whose value is text."""


@dataclasses.dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or more."""

    text: Text
    tone: Literal["plain", "good", "bad", "open"] = "plain"
    folded: str = ""
    """The line under which a page that can fold hides it; empty: it is shown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Items:
    """Sentences in a list."""

    items: tuple[Text, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    is_number: bool = False
    unit: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a caption."""

    id: str
    caption: Text
    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]
    emphasized: frozenset[int] = frozenset()
    """Indexes of rows that stand out: the selected cell."""


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """A drawing: which kind, and the values that it is drawn from."""

    id: str
    caption: Text
    alternative: str
    """What can be seen, for those who can't see it."""
    kind: Literal["curves", "heat", "dots", "forest"]
    drawing: Any
    """The values for ``crucible.projections.report.drawing``."""
    sources: tuple[Number, ...]
    """What was computed for it; the value is how many rows went in."""


Block: TypeAlias = "Paragraph | Items | Table | Figure"


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A titled part."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class DataTable:
    """Rows that go beside the report as they are, for those who compute on: the notebook reads them."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """A report of a run or a submission."""

    subject_kind: Literal["run", "submission"]
    subject_id: str
    name: str
    """What people call the subject."""
    title: str
    position: str
    log_id: str
    marks: tuple[Mark, ...]
    """What is true of the whole subject."""
    head: tuple[Block, ...]
    """What stands under the title: what was asked, and the verdicts."""
    sections: tuple[Section, ...]
    numbers: tuple[Number, ...]
    """Every number, in the order of the text."""
    sources: tuple[Source, ...]
    data: tuple[DataTable, ...] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the notebook has to know to compute on: names of the metric and parameters."""


def numbers_in(report: Report) -> list[Number]:
    """Every number of a report in the order of the text, each once."""
    found: dict[str, Number] = {}
    for block in blocks_in(report):
        for part in parts_of(block):
            if isinstance(part, Number):
                found.setdefault(part.id, part)
        if isinstance(block, Figure):
            for number in block.sources:
                found.setdefault(number.id, number)
    return list(found.values())


def blocks_in(report: Report) -> Iterator[Block]:
    """Every block, from the top."""
    yield from report.head
    for section in report.sections:
        yield from section.blocks


def parts_of(block: Block) -> Iterator[Part]:
    """Every part of the texts of a block."""
    for text in _texts(block):
        yield from text


def _texts(block: Block) -> Sequence[Text]:
    if isinstance(block, Paragraph):
        return [block.text]
    if isinstance(block, Items):
        return block.items
    if isinstance(block, Figure):
        return [block.caption]
    return [block.caption, *(cell for row in block.rows for cell in row)]
