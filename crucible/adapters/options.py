"""Options of adapters, checked: every problem at once, with the path to it and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic

from crucible.errors import DefinitionError, Problem

Options = TypeVar("Options", bound=pydantic.BaseModel)


def check_options(adapter: str, model: type[Options], options: Mapping[str, Any]) -> Options:
    """Return the options with defaults filled in; DefinitionError lists all that is wrong."""
    try:
        return model.model_validate(dict(options))
    except pydantic.ValidationError as error:
        raise DefinitionError([_problem(adapter, model, dict(found)) for found in error.errors()]) from error


def _problem(adapter: str, model: type[pydantic.BaseModel], found: dict[str, Any]) -> Problem:
    path = ".".join(str(part) for part in found["loc"])
    nearest = None
    if found["type"] == "extra_forbidden":
        names = difflib.get_close_matches(str(found["loc"][-1]), _names(model, found["loc"][:-1]), n=1)
        nearest = names[0] if names else None
    return Problem(f"adapter {adapter}: {path}", str(found["msg"]), value=repr(found["input"]), nearest=nearest)


def _names(model: type[pydantic.BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Names of the options at ``path``."""
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel)
        ):
            return []
        model = field.annotation
    return list(model.model_fields)
