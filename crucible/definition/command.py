"""The command line of an untouched script: its placeholders, and filling them in.

The template is split into words first and filled afterwards, so that a value with spaces stays one word and nothing
is ever read by a shell.
"""

from __future__ import annotations

import os
import shlex
import string
from collections.abc import Mapping
from typing import Any, Final

from crucible.canonical import canonical_json

RUN_FIELDS: Final = ("attempt", "run_id", "seed", "stage")
"""Placeholders that every command may use beside its options and inputs."""


def command_words(command: str) -> list[str]:
    """Split a command into words as a shell would; raises ``ValueError`` for an open quote."""
    return shlex.split(command)


def placeholders(command: str) -> list[str]:
    """Return the names in braces, in order, each once.

    Raises ``ValueError`` for braces that don't match, and for a placeholder that is no plain name.
    """
    names: dict[str, None] = {}
    for word in command_words(command):
        for _, name, _, _ in string.Formatter().parse(word):
            if name is None:
                continue
            if not name.isidentifier():
                message = f"{{{name}}} is no placeholder: write a name, or double the braces"
                raise ValueError(message)
            names[name] = None
    return list(names)


def fill_command(command: str, values: Mapping[str, Any]) -> list[str]:
    """Return the words of the command with each placeholder replaced; ``KeyError`` for one that has no value."""
    texts = {name: _plain(value) for name, value in values.items()}
    return [word.format_map(texts) for word in command_words(command)]


def _plain(value: Any) -> Any:
    """Texts and numbers as they are (a number may have a format), everything else as JSON."""
    is_bare = isinstance(value, str | int | float | os.PathLike) and not isinstance(value, bool)
    return value if is_bare else canonical_json(value)
