"""Runs one stage in this process and says how it ended, whatever it did."""

from __future__ import annotations

import errno
import sys
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from crucible.board import Board
from crucible.errors import (
    DefinitionError,
    FencedError,
    HookError,
    StageCanceledError,
    StageError,
    StorageError,
    TransientError,
    UsageError,
)
from crucible.frames import Channel, Message
from crucible.remote_services import RemoteServices
from crucible.run import Run, set_current_run
from crucible.stage_call import HOOK_TYPE, StageCall, Telemetry
from crucible.stage_result import result_metrics, returned_values

if TYPE_CHECKING:
    from crucible.stage_hooks import StageHooks

MESSAGE_CHARACTERS_MAX: Final = 1_000
TRACEBACK_CHARACTERS_MAX: Final = 256 * 1024
FULL_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
COMMAND_TYPE: Final = "command"


class InvalidStageError(UsageError):
    """The stage can't be called: its code, options or inputs are not what was asked for."""


class ScriptExitError(StageError):
    """A script ended with an exit code other than 0."""


def host_stage(call: StageCall, channel: Channel, telemetry: Telemetry, board: Board, board_path: str) -> Message:
    """Run the stage that ``call`` names; the outcome as a message.

    ``status`` is completed, stopped (canceled or drained), fenced or failed; whatever else the stage did, this returns.
    """
    started = time.monotonic()
    services = RemoteServices(channel)
    run = Run(call, telemetry, services, board=board)
    set_current_run(run)
    hooks = _hooks(call, run, services) if call.hooks else None
    try:
        if hooks is not None:
            hooks.before()
        metrics, marks = _perform(run, call, services, board, board_path, hooks)
        if hooks is not None:
            hooks.after()
        outcome: Message = {"status": "completed", "metrics": metrics, "is_simulated": run.is_simulated, "marks": marks}
    except StageCanceledError as error:
        outcome = {"status": "stopped", "message": _one_line(error)}
    except FencedError as error:
        outcome = {"status": "fenced", "message": _one_line(error)}
    except BaseException as error:  # noqa: BLE001  a stage may raise anything, also SystemExit
        outcome = failure(error)
        if hooks is not None:
            _tell(hooks, error, outcome)
    finally:
        set_current_run(None)
    outcome["marks"] = {**outcome.get("marks", {}), **telemetry.mark()}
    outcome["duration_ms"] = (time.monotonic() - started - (hooks.took_s if hooks is not None else 0.0)) * 1000
    return outcome


def _hooks(call: StageCall, run: Run, services: RemoteServices) -> StageHooks:
    from crucible.stage_hooks import StageHooks  # what has no hooks does not pay for them

    return StageHooks(call, run, services.ask)


def _tell(hooks: StageHooks, error: BaseException, outcome: Message) -> None:
    """Call ``on_error``; ``is_told`` says that it was called here. A claim that ends in the middle of it is fenced."""
    try:
        hooks.failed(error, outcome["error_class"])
        outcome["is_told"] = True
    except (FencedError, StageCanceledError):
        outcome["is_told"] = True
    except BaseException as problem:  # noqa: BLE001  the stage's own failure is what is told
        outcome["traceback"] += f"\n{_traceback(problem)}"


def _perform(  # noqa: PLR0917  what a stage is told, and its hooks
    run: Run,
    call: StageCall,
    services: RemoteServices,
    board: Board,
    board_path: str,
    hooks: StageHooks | None,
) -> tuple[list[Any], Mapping[str, int]]:
    if hooks is not None and (call.failure is not None or call.stage_type == HOOK_TYPE):
        _only_hook(call, hooks)
        return [], {}
    if call.stage_type == COMMAND_TYPE:
        from crucible.processors.command_stage import run_command

        return run_command(run, call, services, board, board_path)
    function, options = _function(call)
    inputs = {argument: run.input(argument) for argument in call.inputs}
    returned = returned_values(function(run, **inputs, **options), run.results)
    return list(result_metrics(call.metrics, returned, run.scores, is_simulated=run.is_simulated)), {}


def _only_hook(call: StageCall, hooks: StageHooks) -> None:
    """Call the one hook that a claim is about: of a stage that failed elsewhere, or before or after an experiment."""
    from crucible.stage_hooks import LostStageError

    if call.failure is not None:
        hooks.failed(LostStageError(call.failure), call.failure["error_class"])
    else:
        hooks.call(call.stage)


def _function(call: StageCall) -> tuple[Any, dict[str, Any]]:
    """The function of the stage and its options as it wants them."""
    from crucible.definition.load import resolve_stage

    try:
        found = resolve_stage(call.stage_type, call.code_path, code_digest=call.code_digest)
        return found.function, found.convert_options(call.options)
    except (DefinitionError, KeyError, ValueError) as error:
        message = f"stage {call.stage} ({call.stage_type}) can't be called: {error}"
        raise InvalidStageError(message) from error


def failure(error: BaseException) -> Message:
    """The outcome of a stage that raised."""
    return {
        "status": "failed",
        "error_class": error_class(error),
        "error_type": type(error).__name__,
        "message": _one_line(error),
        "traceback": _traceback(error),
    }


def error_class(error: BaseException) -> str:
    """Whether another attempt may go better: ``transient`` if so, else ``permanent``, ``invalid`` or ``exit``."""
    if isinstance(error, HookError):
        return "hook"
    if isinstance(error, SystemExit | ScriptExitError):
        return "exit"
    if isinstance(error, InvalidStageError):
        return "invalid"
    if isinstance(error, TransientError | StorageError | ConnectionError | TimeoutError):
        return "transient"
    is_full = isinstance(error, OSError) and error.errno in FULL_DISK
    return "transient" if is_full or _is_transport_error(error) else "permanent"


def _is_transport_error(error: BaseException) -> bool:
    """Whether httpx, if it is imported, could not reach a server or lost it."""
    httpx = sys.modules.get("httpx")
    return httpx is not None and isinstance(error, httpx.TransportError)


def _one_line(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception as problem:  # noqa: BLE001  a broken __str__ is the stage's, not ours
        text = f"(its text can't be made: {type(problem).__name__})"
    if isinstance(error, SystemExit):
        text = f"the stage called sys.exit({error.code!r})"
    return text[:MESSAGE_CHARACTERS_MAX]


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as problem:  # noqa: BLE001  a broken __str__ or __repr__ is the stage's, not ours
        text = f"{type(error).__name__}; its traceback can't be made: {type(problem).__name__}"
    if len(text) > TRACEBACK_CHARACTERS_MAX:
        half = TRACEBACK_CHARACTERS_MAX // 2
        text = f"{text[:half]}\n[…]\n{text[-half:]}"
    return text
