"""Runs one stage in this process and says how it ended, whatever it did."""

from __future__ import annotations

import errno
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

from crucible.board import Board
from crucible.errors import (
    DefinitionError,
    FencedError,
    StageCanceledError,
    StageError,
    StorageError,
    TransientError,
    UsageError,
)
from crucible.frames import Channel, Message
from crucible.remote_services import RemoteServices
from crucible.run import Run, set_current_run
from crucible.stage_call import StageCall, Telemetry
from crucible.stage_result import result_metrics, returned_values

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
    try:
        metrics, marks = _perform(run, call, services, board, board_path)
        outcome: Message = {"status": "completed", "metrics": metrics, "is_simulated": run.is_simulated, "marks": marks}
    except StageCanceledError as error:
        outcome = {"status": "stopped", "message": _one_line(error)}
    except FencedError as error:
        outcome = {"status": "fenced", "message": _one_line(error)}
    except BaseException as error:  # noqa: BLE001  a stage may raise anything, also SystemExit
        outcome = failure(error)
    finally:
        set_current_run(None)
    outcome["marks"] = {**outcome.get("marks", {}), **telemetry.mark()}
    outcome["duration_ms"] = (time.monotonic() - started) * 1000
    return outcome


def _perform(
    run: Run, call: StageCall, services: RemoteServices, board: Board, board_path: str
) -> tuple[list[Any], Mapping[str, int]]:
    if call.stage_type == COMMAND_TYPE:
        from crucible.processors.command_stage import run_command

        return run_command(run, call, services, board, board_path)
    function, options = _function(call)
    inputs = {argument: run.input(argument) for argument in call.inputs}
    returned = returned_values(function(run, **inputs, **options), run.results)
    return list(result_metrics(call.metrics, returned, run.scores, is_simulated=run.is_simulated)), {}


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
