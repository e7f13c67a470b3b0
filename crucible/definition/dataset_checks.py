"""Checking dataset references: known sources, options that they take, content that is pinned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crucible.definition.model import DatasetReference
from crucible.definition.problems import Loc, Problems
from crucible.definition.structure import note_errors


def in_full(raw: Any) -> Any:
    """Write every reference that is only a source's text as a mapping."""
    if not isinstance(raw, Mapping):
        return raw
    return {name: {"source": each} if isinstance(each, str) else each for name, each in raw.items()}


def check_datasets(references: Mapping[str, DatasetReference], problems: Problems) -> None:
    """Check what each reference stands for; whether a file is there, only the worker that reads it can know."""
    if not references:
        return
    from crucible.datasets.files import SUFFIXES, FileOptions, is_file_source
    from crucible.datasets.registry import sources

    known = sources()
    for name, reference in references.items():
        loc: Loc = ("datasets", name)
        if is_file_source(reference.source):
            note_errors(FileOptions, reference.options, (*loc, "options"), problems)
            if reference.digest is None:
                message = "is not pinned: other content would go unnoticed between submissions"
                problems.warn(loc, message, value=reference.source, expected="digest: the file's SHA-256")
        elif reference.source in known:
            note_errors(known[reference.source].options, reference.options, (*loc, "options"), problems)
        else:
            expected = f"a registered name, or a path that ends in {', '.join(SUFFIXES)}"
            message = "is no dataset that is installed"
            problems.add((*loc, "source"), message, value=reference.source, expected=expected, names=known)
