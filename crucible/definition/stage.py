"""Stages as a user writes them: a decorated function, a built-in type by name, or the command of a script."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, overload

from crucible.definition.metrics import Declared
from crucible.definition.options import NO_SIGNATURE, Signature, read_signature
from crucible.definition.project import stage_type_of

COMMAND_TYPE = "command"

Metrics = Mapping[str, Declared] | Callable[[Mapping[str, Any]], Mapping[str, Declared]]
"""Declared metrics by name, or a function from the stage's options to them."""


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """A step of an experiment: what runs, under which name, with which options and inputs.

    A stage that was made from a function is called like that function. Every method returns a changed copy.
    """

    type: str
    """``train``, ``eval``, another registered name, ``module:function`` or ``command``."""
    name: str
    """Name within the experiment."""
    function: Callable[..., Any] | None = None
    """What is called, if it is at hand."""
    metrics: Metrics = dataclasses.field(default_factory=dict)
    """Metrics that it declares."""
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Every other field of a stage that was set: options, inputs, artifacts, timeout_s, …"""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the stage's function as it was written."""
        if self.function is None:
            message = f"stage {self.name!r} of type {self.type!r} has no function to call"
            raise TypeError(message)
        return self.function(*args, **options)

    @functools.cached_property
    def signature(self) -> Signature:
        """Options and inputs of the function."""
        return NO_SIGNATURE if self.function is None else read_signature(self.function)

    def metrics_for(self, options: Mapping[str, Any]) -> Mapping[str, Declared]:
        """Return the metrics that the stage declares when it has these options."""
        return self.metrics(options) if callable(self.metrics) else self.metrics

    def with_inputs(self, **inputs: str) -> Self:
        """Take each artifact argument from ``stage.artifact``."""
        return self.with_fields(inputs={**self.fields.get("inputs", {}), **inputs})

    def with_options(self, **options: Any) -> Self:
        """Set options; what is not set keeps the function's default."""
        return self.with_fields(options={**self.fields.get("options", {}), **options})

    def with_fields(self, **fields: Any) -> Self:
        """Set other fields, for example ``timeout_s``, ``checkpoint_every_s``, ``retry`` or ``queue``."""
        return dataclasses.replace(self, fields={**self.fields, **fields})

    def named(self, name: str) -> Self:
        """Give the stage another name, so that one function can be used twice."""
        return dataclasses.replace(self, name=name)

    def document(self) -> dict[str, Any]:
        """Return the stage as a mapping, as YAML would have it."""
        return {"name": self.name, "type": self.type, **self.fields}


@overload
def stage(function: Callable[..., Any], /) -> Stage: ...
@overload
def stage(
    *, metrics: Metrics | None = None, artifacts: Iterable[str] | None = None, name: str | None = None, **fields: Any
) -> Callable[[Callable[..., Any]], Stage]: ...
def stage(
    function: Callable[..., Any] | None = None,
    /,
    *,
    metrics: Metrics | None = None,
    artifacts: Iterable[str] | None = None,
    name: str | None = None,
    **fields: Any,
) -> Stage | Callable[[Callable[..., Any]], Stage]:
    """Make a function a stage: ``@stage`` or ``@stage(metrics={...})``.

    Its first argument is the run, further positional ones are artifacts of earlier stages, keyword-only ones are its
    options. ``artifacts`` names what it makes, ``fields`` are any other fields of a stage (``timeout_s=60``).
    With ``scope="experiment"`` it is done once, when every run of the grid has ended.
    """

    def decorate(function: Callable[..., Any]) -> Stage:
        declared = fields if artifacts is None else {"artifacts": list(artifacts), **fields}
        made = Stage(
            type=stage_type_of(function),
            name=name or str(getattr(function, "__name__", "stage")),
            function=function,
            metrics={} if metrics is None else metrics,
            fields=declared,
        )
        for attribute in ("__doc__", "__module__", "__qualname__", "__name__"):
            object.__setattr__(made, attribute, getattr(function, attribute, None))
        return made

    return decorate if function is None else decorate(function)


def builtin_stage(stage_type: str, *, name: str | None = None, **fields: Any) -> Stage:
    """Use a stage by the name of its type: ``train``, ``eval``, or one that an installed package registers."""
    return Stage(type=stage_type, name=name or default_name(stage_type), fields=fields)


def command_stage(
    name: str,
    *,
    command: str,
    options: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Declared] | None = None,
    **fields: Any,
) -> Stage:
    """Run an untouched script as a stage: ``command_stage("fit", command="python t.py --lr {learning_rate}")``.

    ``{name}`` in the command is replaced by the option, artifact path or run field of that name, as one word even if
    it holds spaces. ``options`` gives the options and their defaults; a placeholder without one has to be a parameter.
    """
    set_fields = {"command": command, "options": dict(options or {}), "metrics": dict(metrics or {}), **fields}
    return Stage(type=COMMAND_TYPE, name=name, fields=set_fields)


def default_name(stage_type: str) -> str:
    """Return the name of a stage that was given none: the function's, or the type's."""
    return stage_type.rpartition(":")[2].rpartition(".")[2]
