"""A plain script as an experiment of one run and one stage, which the script itself works on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crucible.definition.build import build
from crucible.definition.model import Definition, RetryPolicy
from crucible.definition.stage import COMMAND_TYPE, Stage
from crucible.errors import DefinitionError, Problem
from crucible.stage_call import SCRIPT_TYPE

STAGE_NAME: Final = "script"


def script_definition(
    name: str,
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, Any],
    queue: str,
    adapter_default: str | None = None,
    **fields: Any,
) -> Definition:
    """Return the definition of a script's run; its stage waits in ``queue``, and is never tried again.

    ``fields`` are those of an experiment. Raises ``DefinitionError`` with every problem.
    """
    stage = {
        "name": STAGE_NAME,
        "type": COMMAND_TYPE,
        "command": STAGE_NAME,
        "options": dict.fromkeys(params),
        "metrics": dict(metrics),
        "queue": queue,
    }
    if fields.get("hooks"):
        message = "no worker runs a script, so nobody would call them: call them in the script"
        raise DefinitionError([Problem(path="hooks", message=message)])
    document = {"name": name, "stages": [stage], **fields}
    if params:
        document["parameters"] = [dict(params)]
    built = build(document, _no_stage, adapter_default=adapter_default)
    if built.definition is None:
        raise DefinitionError(built.problems.errors)
    (made,) = built.definition.stages
    own = made.model_copy(update={"type": SCRIPT_TYPE, "command": None, "retry": RetryPolicy(max=0, on=[])})
    return built.definition.model_copy(update={"stages": [own]})


def _no_stage(stage_type: str) -> Stage:
    raise LookupError(stage_type)
