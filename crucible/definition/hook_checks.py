"""Checking hooks: each is one function that can be found and called, or one command that can be filled in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from crucible.definition.command import placeholders
from crucible.definition.model import EXPERIMENT_HOOKS, ExperimentFields, HookDefinition
from crucible.definition.problems import Loc, Problems
from crucible.definition.stage import Stage
from crucible.definition.stage_checks import CheckedStage
from crucible.stage_call import ERROR_FIELDS, HOOK_FIELDS

ERROR_HOOK: Final = "on_error"


def hooks_in_full(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hooks with each that was given as a text, ``module:function``, as a mapping."""
    hooks = own.get("hooks")
    if not isinstance(hooks, Mapping):
        return {}
    return {"hooks": {name: {"function": hook} if isinstance(hook, str) else hook for name, hook in hooks.items()}}


def check_hooks(
    fields: ExperimentFields,
    find_stage: Callable[[str], Stage],
    stages: Sequence[CheckedStage],
    problems: Problems,
) -> None:
    """Check every hook."""
    names = {stage.name for stage in stages}
    for name, hook in fields.hooks.items():
        loc: Loc = ("hooks", name)
        if (hook.function is None) == (hook.command is None):
            problems.add(loc, "needs one of function and command")
        elif hook.function is not None:
            _check_function(hook.function, name, loc, find_stage, problems)
        else:
            _check_command(hook, name, loc, problems)
        if name in EXPERIMENT_HOOKS and name in names:
            problems.add(loc, "is a stage of its own, and another stage has its name: rename that one")


def _check_function(target: str, name: str, loc: Loc, find_stage: Callable[[str], Stage], problems: Problems) -> None:
    try:
        if ":" not in target:
            problems.add(loc, "is no module:function", value=target)
            return
        function = find_stage(target).function
    except LookupError as error:
        problems.add(loc, f"can't be used: {error.args[0]}", value=target)
        return
    if function is None:
        problems.add(loc, "is no function", value=target)
        return
    wanted = ("run", "error") if name == ERROR_HOOK else ("run",)
    try:
        inspect.signature(function).bind(*wanted)
    except TypeError as error:
        problems.add(loc, f"can't be called with {' and '.join(wanted)}: {error}", value=target)
    except ValueError:
        return  # a function of C says nothing of what it takes


def _check_command(hook: HookDefinition, name: str, loc: Loc, problems: Problems) -> None:
    where = (*loc, "command")
    try:
        used = placeholders(hook.command or "")
    except ValueError as error:
        problems.add(where, f"can't be read: {error}", value=hook.command)
        return
    if not (hook.command or "").strip():
        problems.add(where, "must not be empty", value=hook.command)
    known = (*HOOK_FIELDS, *ERROR_FIELDS) if name == ERROR_HOOK else HOOK_FIELDS
    for word in used:
        if word not in known:
            problems.add(where, f"has a placeholder {{{word}}} that is not known here", value=word, names=known)
