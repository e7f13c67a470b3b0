"""Warnings about what works here and now, but not on another machine or at another time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from crucible.definition.command import command_words
from crucible.definition.model import Definition
from crucible.definition.problems import Loc, Problems

_TEMPORARY: Final = ("/tmp", "/var/tmp", "/dev/shm", "/private/tmp", "/private/var/folders", "/var/folders")  # noqa: S108  named to warn about them
_ABSOLUTE: Final = re.compile(r"(/[^/\s]+){2,}/?|~[^/\s]*/.*|~|[A-Za-z]:[\\/].*|\\\\[^\\]+\\.*")
_ADDRESS: Final = re.compile(r"file://(?P<path>/.*)")


def warn_about_places(definition: Definition, problems: Problems) -> None:
    """Warn about paths of one machine and temporary folders."""
    for loc, text in _texts(definition):
        found = _ADDRESS.fullmatch(text)
        path = found["path"] if found else text
        if is_temporary(path):
            problems.warn(loc, "is in a temporary folder, which may be emptied", value=text)
        elif _ABSOLUTE.fullmatch(path):
            problems.warn(loc, "is a path of this machine only", value=text, expected="a relative path or an address")


def is_temporary(path: str) -> bool:
    """Whether a path lies in a folder for temporary files."""
    folders = (*_TEMPORARY, os.environ.get("TMPDIR", "/tmp"))  # noqa: S108  named to warn about it
    return any(PurePath(path).is_relative_to(folder) for folder in folders)


def _texts(definition: Definition) -> Iterator[tuple[Loc, str]]:
    yield ("output_dir",), definition.output_dir
    for name, reference in definition.datasets.items():
        yield ("datasets", name, "source"), reference.source
        yield from _inside(reference.options, ("datasets", name, "options"))
    for index, stage in enumerate(definition.stages):
        yield from _inside(stage.options, ("stages", index, "options"))
        for word in command_words(stage.command or ""):
            yield ("stages", index, "command"), word.partition("=")[2] or word
    yield from _inside(definition.parameters or definition.cells or {}, ("parameters",))


def _inside(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _inside(each, (*loc, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _inside(each, (*loc, index))
