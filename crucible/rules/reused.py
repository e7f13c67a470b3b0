"""What a `StageReused` carries: the result of another run's stage, complete, so that the fold of a run needs no other.

Whatever stands in it was written by a manager; a text that can't be read is taken for an empty result, because a fold
never fails.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from crucible.canonical import canonical_json
from crucible.records.record import R, Record
from crucible.records.stage_events import ArtifactSaved, DatasetUsed

PARSED_MAX = 4096
"""Texts that are kept parsed: the rows of a run are made several times while it goes on."""


def records_json(records: Sequence[Record]) -> str:
    """Records as canonical JSON: what ``artifacts_json`` and ``datasets_json`` hold."""
    return canonical_json([_plain(record) for record in records])


def carried_artifacts(text: str) -> Mapping[str, ArtifactSaved]:
    """The artifacts of a carried result by name, each as its stage saved it."""
    return {artifact.name: artifact for artifact in _records(ArtifactSaved, text)}


def carried_datasets(text: str) -> Mapping[str, DatasetUsed]:
    """The datasets of a carried result by name."""
    return {used.name: used for used in _records(DatasetUsed, text)}


@functools.lru_cache(maxsize=PARSED_MAX)
def carried_spools(text: str) -> tuple[tuple[str, int], ...]:
    """For each spool of a carried result, oldest claim first, the sequence number below which it counts."""
    return tuple(
        (entry[0], entry[1])
        for entry in _list(text)
        if isinstance(entry, list) and [type(part) for part in entry] == [str, int]
    )


@functools.lru_cache(maxsize=PARSED_MAX)
def _records(record_type: type[R], text: str) -> tuple[R, ...]:
    return tuple(
        record_type(**{name: entry.get(name) for name in record_type.FIELD_NAMES})
        for entry in _list(text)
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("digest"), str)
    )


def _plain(record: Record) -> dict[str, Any]:
    return {
        name: dict(value)
        if isinstance(value, Mapping)
        else [dict(part) for part in value]
        if isinstance(value, list | tuple)
        else value
        for name, value in vars(record).items()
    }


def _list(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return value if isinstance(value, list) else []
