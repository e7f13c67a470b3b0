"""Finding the function of a stage from its type, as validation and a worker's child need it."""

from __future__ import annotations

import dataclasses
import functools
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crucible.definition.options import Signature
from crucible.definition.problems import nearest_name
from crucible.definition.project import ProjectError, find_attribute, import_module
from crucible.definition.registry import load_registered, registered_stage
from crucible.definition.stage import Stage, default_name, stage
from crucible.errors import DefinitionError, Problem


@dataclasses.dataclass(frozen=True, slots=True)
class StageFunction:
    """What runs a stage."""

    type: str
    function: Callable[..., Any]
    signature: Signature
    """Options with their types, and artifact inputs."""
    stage: Stage
    """The stage as it was declared, with its metrics."""

    def convert_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return plain JSON options as the types that the function asks for; ``ValueError`` if one does not fit."""
        return {name: self.signature.options[name].convert(value) for name, value in options.items()}


def find_stage_of_type(stage_type: str, code_path: Path | None, digest: str) -> Stage:
    """Find the stage of a type; ``LookupError`` with the reason in one line."""
    registered = None if ":" in stage_type else registered_stage(stage_type)
    target = registered or stage_type
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        message = f"{stage_type!r} is no module:function"
        raise LookupError(message)
    try:
        if registered is not None:
            found = load_registered(target)
        else:
            module = import_module(module_name, code_path, version=digest)
            found = _attribute(module, name)
    except LookupError:
        raise
    except ProjectError as error:
        raise LookupError(str(error)) from error
    except ModuleNotFoundError as error:
        message = f"there is no module {error.name!r} that it could be imported from"
        raise LookupError(message) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        said = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        message = f"importing it fails: {said}"
        raise LookupError(message) from error
    if isinstance(found, Stage) and found.function is not None:
        return dataclasses.replace(found, type=stage_type, name=found.name if ":" in stage_type else stage_type)
    if not callable(found):
        message = f"{target!r} is no function"
        raise LookupError(message)  # noqa: TRY004  one error for every type that can't be found
    return dataclasses.replace(stage(found), type=stage_type, name=default_name(stage_type))


def _attribute(module: Any, name: str) -> Any:
    try:
        return find_attribute(module, name)
    except AttributeError as error:
        near = nearest_name(name, [key for key, value in vars(module).items() if callable(value)])
        hint = f"; did you mean {near!r}?" if near is not None else ""
        message = f"module {module.__name__!r} has no {name!r}{hint}"
        raise LookupError(message) from error


def resolve_stage(stage_type: str, code_path: str | Path | None, *, code_digest: str | None = None) -> StageFunction:
    """Return what runs a stage of this type, as a worker's child needs it.

    ``code_path`` is the file that defines the experiment; ``code_digest`` the one that was requested: when it changes,
    the project's modules are imported anew. Raises ``DefinitionError`` if there is no such function.
    """
    return _resolve(stage_type, None if code_path is None else str(code_path), code_digest)


@functools.lru_cache(maxsize=64)
def _resolve(stage_type: str, code_path: str | None, digest: str | None) -> StageFunction:
    path = None if code_path is None else Path(code_path)
    try:
        found = find_stage_of_type(stage_type, path, digest or "")
    except LookupError as error:
        problem = Problem(path="type", message=f"can't be used: {error.args[0]}", value=stage_type)
        raise DefinitionError([problem]) from error
    if found.function is None or found.signature.faults:
        problem = Problem(path="type", message="can't be used: " + "; ".join(found.signature.faults), value=stage_type)
        raise DefinitionError([problem])
    return StageFunction(stage_type, found.function, found.signature, found)
