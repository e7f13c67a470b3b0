"""Checking the shape of a part of a document against its model, and keeping what is right for the next checks."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Final, TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from crucible.definition.model import Model
from crucible.definition.problems import NOT_SHOWN, Loc, Problems, type_words

M = TypeVar("M", bound=Model)

_ROUNDS_MAX: Final = 20
"""Each round removes what the one before found; a second is needed where a wrong part hid another."""


def check_structure(
    model: type[M],
    raw: Mapping[str, Any],
    loc: Loc,
    problems: Problems,
    *,
    stand_ins: Mapping[str, Any] | None = None,
    names: tuple[str, ...] = (),
) -> M | None:
    """Check ``raw`` against ``model`` and note every problem; wrong parts are left at their defaults.

    ``stand_ins`` are values for required fields that are wrong or missing, ``names`` are further valid keys for the
    nearest name. Returns None only if a required field without a stand-in is wrong.
    """
    kept: dict[str, Any] = dict(raw)
    removed: set[tuple[str | int, ...]] = set()
    for _ in range(_ROUNDS_MAX):
        try:
            return model.model_validate(kept)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                if detail["loc"] not in removed:
                    _note(detail, loc, problems, model, names)
                    removed.add(detail["loc"])
                kept = _without(kept, detail["loc"])
                field = str(detail["loc"][0]) if detail["loc"] else ""
                if field in (stand_ins or {}) and field not in kept:
                    kept[field] = (stand_ins or {})[field]
    return None


def note_errors(model: type[BaseModel], raw: Mapping[str, Any], loc: Loc, problems: Problems) -> None:
    """Note everything that is wrong with ``raw`` as an instance of another part's model."""
    try:
        model.model_validate(raw)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _note(detail, loc, problems, model, ())


def _note(detail: ErrorDetails, loc: Loc, problems: Problems, model: type[BaseModel], names: tuple[str, ...]) -> None:
    where = (*loc, *(part for part in detail["loc"] if part != "[key]"))
    context = detail.get("ctx", {})
    value = detail["input"]
    expected = detail["msg"].removeprefix("Input should be ")
    match detail["type"]:
        case "extra_forbidden":
            problems.add(
                where, "is no key that is known here", value=NOT_SHOWN, names=_keys(model, detail["loc"], names)
            )
        case "missing":
            problems.add(where, "is missing")
        case "literal_error":
            words = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
            problems.add(where, "is not one of the words known here", value=value, expected=expected, names=words)
        case kind if kind.endswith("_type"):
            problems.add(where, "has the wrong type", value=value, expected=type_words(kind) or expected)
        case "string_pattern_mismatch":
            problems.add(where, "has the wrong form", value=value, expected=f"text like {context['pattern']}")
        case "string_too_short":
            problems.add(where, "must not be empty", value=value)
        case _:
            problems.add(where, "is out of range", value=value, expected=expected)


def _keys(model: type[BaseModel], loc: tuple[str | int, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the valid keys at a place: those of the model of the part that it is in, ``names`` too at the top."""
    if len(loc) == 1:
        return (*model.model_fields, *names)
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        if field is not None:
            inner = [each for each in (field.annotation, *typing.get_args(field.annotation)) if _is_model(each)]
            model = inner[0] if inner else model
    return tuple(model.model_fields)


def _is_model(value: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _without(raw: dict[str, Any], loc: tuple[str | int, ...]) -> dict[str, Any]:
    """Return ``raw`` without the part at ``loc``, or without its nearest enclosing part that can be left out."""
    if not loc or not isinstance(loc[0], str):
        return raw
    kept = dict(raw)
    child = kept.get(loc[0])
    if isinstance(child, dict) and len(loc) > 1 and loc[1] in child:
        kept[loc[0]] = _without(child, loc[1:])
    else:
        kept.pop(loc[0], None)
    return kept
