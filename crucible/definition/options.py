"""What a stage function takes: its keyword-only arguments are its options, its positional ones artifacts.

An option's annotation is its type (anything that pydantic can check), its default is the option's default, and an
option without one has to be given. Values are compared strictly: a text is never turned into a number.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from crucible.canonical import canonical_json
from crucible.definition.problems import type_words

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_EMPTY: Final = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a stage."""

    name: str
    annotation: Any
    """Type of the value; ``Any`` if the function does not say."""
    default: Any
    """Value when none is given, as the function has it; meaningless if the option is required."""
    is_required: bool

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """What checks and converts values."""
        from pydantic import ConfigDict, TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            return TypeAdapter(self.annotation, config=ConfigDict(strict=True, ser_json_inf_nan="constants"))
        except PydanticUserError:  # the type brings a configuration of its own
            return TypeAdapter(self.annotation)

    def find_fault(self, value: Any) -> str | None:
        """Return what is expected in place of a plain JSON value, or None if it fits."""
        from pydantic import ValidationError

        try:
            self.convert(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            inside = "".join(f"[{part!r}]" for part in first["loc"] if isinstance(part, int))
            expected = type_words(first["type"]) or first["msg"].removeprefix("Input should be ")
            return f"{expected} at {inside}" if inside else expected
        return None

    def convert(self, value: Any) -> Any:
        """Return a plain JSON value as the type that the function asks for; ``ValueError`` if it does not fit.

        The default is given back as the function has it, whether it is of its own type or not (``x: int = None``).
        """
        text = canonical_json(value)
        if not self.is_required and text == self._default_text:
            return self.default
        return self.adapter.validate_json(text, strict=True)

    @functools.cached_property
    def _default_text(self) -> str:
        return canonical_json(self.plain_default())

    def plain_default(self) -> Any:
        """Return the default as a plain JSON value."""
        return self.adapter.dump_python(self.default, mode="json", warnings=False)

    def describe(self) -> dict[str, Any]:
        """Return the option's JSON Schema, with its default."""
        described = self.adapter.json_schema()
        return described if self.is_required else {**described, "default": self.plain_default()}


@dataclasses.dataclass(frozen=True)
class ArtifactInput:
    """An artifact that a stage takes."""

    name: str
    is_required: bool


@dataclasses.dataclass(frozen=True)
class Signature:
    """What can be read from a stage function's arguments."""

    options: Mapping[str, Option]
    inputs: Mapping[str, ArtifactInput]
    faults: tuple[str, ...]
    """What makes the function unusable as a stage."""

    def json_schema(self) -> dict[str, Any]:
        """Return the schema of the options as JSON Schema."""
        return {
            "type": "object",
            "properties": {name: option.describe() for name, option in self.options.items()},
            "required": [name for name, option in self.options.items() if option.is_required],
            "additionalProperties": False,
        }


NO_SIGNATURE: Final = Signature({}, {}, ())


def read_signature(function: Callable[..., Any]) -> Signature:
    """Read the options and artifact inputs of a stage function; whatever it can't be used for is a fault."""
    parameters = list(inspect.signature(function).parameters.values())
    options: dict[str, Option] = {}
    inputs: dict[str, ArtifactInput] = {}
    faults: list[str] = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        faults.append("its first argument must be the run: def stage(run, *, option=...)")
    for parameter in parameters[1:]:
        if parameter.kind in positional:
            inputs[parameter.name] = ArtifactInput(parameter.name, is_required=parameter.default is _EMPTY)
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            option = _option(function, parameter, faults)
            if option is not None:
                options[parameter.name] = option
        else:
            faults.append(f"*{parameter.name} can't be an option: name each keyword-only argument")
    return Signature(options, inputs, tuple(faults))


def _option(function: Callable[..., Any], parameter: inspect.Parameter, faults: list[str]) -> Option | None:
    """Return the option of a parameter; None, with a fault noted, if its type or default can't be used."""
    from pydantic.errors import PydanticUserError
    from pydantic_core import PydanticSerializationError

    is_required = parameter.default is _EMPTY
    try:
        annotation = _annotation(function, parameter)
        option = Option(parameter.name, annotation, None if is_required else parameter.default, is_required)
        _ = option.adapter
        if not is_required:
            canonical_json(option.plain_default())
    except (NameError, AttributeError, TypeError, PydanticUserError) as error:
        faults.append(f"the type of option {parameter.name!r} can't be used: {str(error).splitlines()[0]}")
        return None
    except (ValueError, PydanticSerializationError) as error:
        faults.append(f"the default of option {parameter.name!r} can't be kept as JSON: {error}")
        return None
    return option


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    if annotation is _EMPTY:
        return Any
    if not isinstance(annotation, str):
        return annotation
    holder = type("holder", (), {"__annotations__": {"option": annotation}})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(holder, names, include_extras=True)["option"]
