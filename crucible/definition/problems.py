"""Collecting everything that is wrong with an experiment, each with its path, line, value and nearest valid name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from crucible.errors import Problem

Loc = tuple[str | int, ...]
"""Keys and indices from the top of the document."""

NOT_SHOWN: Final = object()
"""In place of a value that says nothing."""

_TYPE_WORDS: Final[Mapping[str, str]] = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}

_VALUE_CHARS_MAX: Final = 80
_NEAREST_CUTOFF: Final = 0.5


class Problems:
    """The problems and warnings of one document."""

    def __init__(self, lines: Mapping[Loc, int] | None = None) -> None:
        """Start with none; ``lines`` are the document's."""
        self.lines = lines or {}
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self._unusable: set[Loc] = set()

    def add(
        self,
        loc: Loc,
        message: str,
        *,
        value: Any = NOT_SHOWN,
        expected: str | None = None,
        names: Iterable[str] | None = None,
    ) -> None:
        """Note an error; ``names`` are the valid names that the value, or else the last key, was meant to be among."""
        if loc not in self._unusable:
            self.errors.append(self._problem(loc, message, value, expected, names))

    def add_unusable(self, loc: Loc, message: str, *, value: Any = NOT_SHOWN, expected: str | None = None) -> None:
        """Note an error of a value that nothing can be done with: what is put in its place draws no further errors."""
        self.add(loc, message, value=value, expected=expected)
        self._unusable.add(loc)

    def warn(self, loc: Loc, message: str, *, value: Any = NOT_SHOWN, expected: str | None = None) -> None:
        """Note something that works here and now, but may not elsewhere or later."""
        self.warnings.append(self._problem(loc, message, value, expected, None))

    def line_of(self, loc: Loc) -> int | None:
        """Return the line of the nearest enclosing part that has one."""
        if loc and not path_text(loc[:1]).isidentifier():
            return None  # a flag or an environment variable, not a part of the document
        for end in range(len(loc), -1, -1):
            if loc[:end] in self.lines:
                return self.lines[loc[:end]]
        return None

    def _problem(
        self, loc: Loc, message: str, value: Any, expected: str | None, names: Iterable[str] | None
    ) -> Problem:
        nearest = None
        if names is not None:
            known = list(names)
            seen = value if isinstance(value, str) else str(loc[-1]) if loc else ""
            nearest = nearest_name(seen, known)
            if nearest is None and expected is None and known:
                expected = "one of " + ", ".join(sorted(known))
        shown = None if value is NOT_SHOWN else show_value(value)
        return Problem(
            path=path_text(loc),
            message=message,
            value=shown,
            expected=expected,
            nearest=nearest,
            line=self.line_of(loc),
        )


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """Return the valid name that looks most like ``name``; case and a missing stage prefix hardly count."""
    known = list(names)
    for found in difflib.get_close_matches(name, known, n=len(known) or 1, cutoff=_NEAREST_CUTOFF):
        if difflib.SequenceMatcher(None, _last(name), _last(found)).ratio() >= _NEAREST_CUTOFF:
            return found  # that alike is more than the same stage before the dot
    folded = {_last(each): each for each in reversed(known)}
    near = difflib.get_close_matches(_last(name), folded, n=1, cutoff=_NEAREST_CUTOFF)
    return folded[near[0]] if near else None


def _last(name: str) -> str:
    return name.lower().rpartition(".")[2]


def type_words(kind: str) -> str | None:
    """Say in plain words which type a pydantic error of this kind expected."""
    return _TYPE_WORDS.get(kind)


def path_text(loc: Loc) -> str:
    """Write a place in the document as people would: ``stages[0].options.rank``."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "a").replace("-", "a").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]" if text else part
    return text or "experiment"


def show_value(value: Any) -> str:
    """Write a value as JSON where it can be, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _VALUE_CHARS_MAX else text[: _VALUE_CHARS_MAX - 1] + "…"
