"""Reading an experiment file: YAML 1.2 (and so JSON), with the line of every part, nothing executed.

In YAML 1.2 ``1e-3`` is a number and ``no`` is a text. Keys that stand twice are problems, not the last one's win.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from crucible.definition.plain import DEPTH_MAX
from crucible.definition.problems import Loc, Problems

DOCUMENT_BYTES_MAX: Final = 1 << 20
DOCUMENT_NODES_MAX: Final = 200_000
"""Nodes after aliases are followed, so that a small file can't grow without bound."""
MERGES_MAX: Final = 100
"""Merges (``<<``) after aliases are followed."""

_MERGE: Final = "tag:yaml.org,2002:merge"
_PLAIN_TAGS: Final = {"str", "int", "float", "bool", "null"}
_PLAIN_COLLECTIONS: Final = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """A file's values and where they stand."""

    value: Any
    lines: Mapping[Loc, int]
    """Line of each part, from 1."""


def read_document(text: str, problems: Problems) -> Document | None:
    """Parse ``text``; notes problems and returns None if there is no document to look at."""
    if len(text.encode()) > DOCUMENT_BYTES_MAX:
        problems.add((), "is larger than an experiment file may be", expected=f"at most {DOCUMENT_BYTES_MAX:,} bytes")
        return None
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.lines = {} if mark is None else {(): mark.line + 1}
        problems.add((), f"is not YAML: {error.problem or error.context}")
        return None
    except RecursionError:
        problems.add((), f"is nested more than {DEPTH_MAX} deep")
        return None
    except YAMLError as error:
        problems.add((), f"is not YAML: {' '.join(str(error).split())}")
        return None
    if node is None:
        problems.add((), "is empty", expected="a mapping with name and stages")
        return None
    reader = _Reader(yaml, problems)
    value = reader.value_of(node, ())
    return Document(value, reader.lines)


class _Reader:
    """Turns nodes into plain values."""

    def __init__(self, yaml: YAML, problems: Problems) -> None:
        self.yaml = yaml
        self.problems = problems
        self.lines: dict[Loc, int] = {}
        self.nodes = 0
        self.merges = 0
        problems.lines = self.lines

    def value_of(self, node: Node, loc: Loc) -> Any:
        self.nodes += 1
        if len(loc) > DEPTH_MAX:
            self.problems.add_unusable(loc[:1], f"is nested more than {DEPTH_MAX} deep")
            return None
        if self.nodes > DOCUMENT_NODES_MAX:
            if self.nodes == DOCUMENT_NODES_MAX + 1:
                self.problems.add((), "has too many parts", expected=f"at most {DOCUMENT_NODES_MAX:,}")
            return None
        self.lines.setdefault(loc, node.start_mark.line + 1)
        if isinstance(node, MappingNode | SequenceNode) and str(node.tag) not in _PLAIN_COLLECTIONS:
            self.problems.add_unusable(loc, f"has the tag {node.tag}: leave it out")
        if isinstance(node, MappingNode):
            return self.mapping(node, loc)
        if isinstance(node, SequenceNode):
            return [self.value_of(child, (*loc, index)) for index, child in enumerate(node.value)]
        return self.scalar(node, loc)

    def mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE or str(key_node.tag) == _MERGE:
                merged |= self.merge(value_node, loc)
                continue
            key = self.scalar(key_node, loc) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                self.problems.add(loc, "has a key that is no text: put it in quotes", value=key)
                continue
            if key in result:
                self.problems.add((*loc, key), f"stands twice; the second time in line {key_node.start_mark.line + 1}")
                continue
            self.lines[(*loc, key)] = key_node.start_mark.line + 1
            result[key] = self.value_of(value_node, (*loc, key))
        return {**merged, **result}

    def merge(self, node: Node, loc: Loc) -> dict[str, Any]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        self.merges += 1
        if self.merges > MERGES_MAX:
            if self.merges == MERGES_MAX + 1:
                self.problems.add_unusable(loc, "merges too much, or itself", expected=f"at most {MERGES_MAX} merges")
            return merged
        for part in reversed(parts):
            if isinstance(part, MappingNode):
                merged |= self.mapping(part, loc)
            else:
                self.problems.add(loc, "merges something that is no mapping")
        return merged

    def scalar(self, node: Node, loc: Loc) -> Any:
        kind = str(node.tag).rpartition(":")[2]
        if kind not in _PLAIN_TAGS:
            self.problems.add_unusable(
                loc,
                f"is read as a {kind}: put it in quotes",
                value=str(node.value),
                expected="text, number, true or false",
            )
            return str(node.value)
        try:
            return self.yaml.constructor.construct_object(node)
        except (YAMLError, ValueError) as error:
            self.problems.add_unusable(loc, f"can't be read: {error}", value=str(node.value))
            return None


def read_scalars(text: str) -> list[Any]:
    """Parse ``1e-3,1e-2`` as the items of a YAML list; raises ``ValueError`` for what is none."""
    problems = Problems()
    document = read_document(f"[{text}\n]", problems)
    if problems.errors or document is None or not isinstance(document.value, list):
        message = problems.errors[0].message if problems.errors else "is no list of values"
        raise ValueError(message)
    return document.value
