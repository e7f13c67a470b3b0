"""``--set train.learning_rate=1e-3,1e-2``: values for a parameter from the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from crucible.errors import UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """A parameter and the values that it is to have in place of the file's."""

    parameter: str
    values: list[Any]
    text: str
    """What was written."""


def parse_settings(texts: Iterable[str]) -> list[Setting]:
    """Read ``name=value,value,…``: values are YAML 1.2 scalars or lists in brackets; ``UsageError`` for anything else.

    A parameter that is set twice has the values of the last time.
    """
    texts = list(texts)
    if not texts:
        return []
    from crucible.definition.document import read_scalars  # the YAML reader, which most calls don't need

    settings: dict[str, Setting] = {}
    for text in texts:
        parameter, equals, values = text.partition("=")
        parameter = parameter.strip()
        if not equals or not parameter:
            message = f"--set {text}: expected NAME=VALUE[,VALUE…], for example train.learning_rate=1e-3,1e-2"
            raise UsageError(message)
        try:
            parsed = read_scalars(values)
        except ValueError as error:
            message = f"--set {text}: the value {error}"
            raise UsageError(message) from error
        settings.pop(parameter, None)
        settings[parameter] = Setting(parameter, parsed, f"--set {text}")
    return list(settings.values())
