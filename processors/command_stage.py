"""A stage that is an untouched script: started as a process, with a door through which it may find its run."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from crucible import attach
from crucible.board import Board, Wish
from crucible.definition.command import RUN_FIELDS, fill_command
from crucible.errors import CrucibleError, StageCanceledError
from crucible.frames import Channel, Message
from crucible.processors.stage_host import InvalidStageError, ScriptExitError
from crucible.remote_services import RemoteServices, answer_of
from crucible.run import Run
from crucible.stage_call import StageCall
from crucible.stage_result import result_metrics

POLL_S: Final = 0.05
"""How often the script and the worker's wish are looked at."""


def run_command(
    run: Run, call: StageCall, services: RemoteServices, board: Board, board_path: str
) -> tuple[list[Any], Mapping[str, int]]:
    """Run the command of ``call`` to its end; returns its metrics and the marks of its telemetry.

    Raises ``ScriptExitError``, ``StageCanceledError`` if it ended because it was to stop, ``InvalidStageError`` if it
    can't be started.
    """
    door = _Door(call, services, board_path)
    words = _words(run, call)
    try:
        script = subprocess.Popen(words, env=_environ(door.attachment), stdin=subprocess.DEVNULL, close_fds=False)
    except OSError as error:
        message = f"the command {words[0]!r} can't be started: {error.strerror}"
        raise InvalidStageError(message) from error
    try:
        code = _wait(script, door, board)
    finally:
        door.close()
    if code != 0 and board.wish is not Wish.GO:
        message = "the script was stopped"
        raise StageCanceledError(message)
    if code != 0:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        message = f"the script ended with {how}; its output says more"
        raise ScriptExitError(message)
    return door.metrics(run), door.marks


def _words(run: Run, call: StageCall) -> list[str]:
    fields = {name: getattr(run, name) for name in RUN_FIELDS}
    inputs = {argument: str(run.input(argument).path) for argument in call.inputs}
    try:
        return fill_command(call.command or "", {**fields, **inputs, **call.options})
    except (KeyError, ValueError) as error:
        message = f"the command of stage {call.stage} can't be filled in: {error}"
        raise InvalidStageError(message) from error


def _environ(attachment: Path) -> dict[str, str]:
    """The environment of the script: its `python` is the one that runs this."""
    folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", attach.VARIABLE: str(attachment)}


def _wait(script: subprocess.Popen[bytes], door: _Door, board: Board) -> int:
    """Serve the script until it ends; a script that can't know is told by SIGTERM that it is to stop."""
    is_told = False
    while (code := script.poll()) is None:
        door.serve(POLL_S)
        wish = board.wish
        if not is_told and (wish is Wish.CANCEL or (wish is Wish.DRAIN and not door.is_used)):
            is_told = True
            with contextlib.suppress(ProcessLookupError):
                script.terminate()
    door.serve(0.0)
    return code


class _Door:
    """The socket of the services for scripts, and what scripts report."""

    def __init__(self, call: StageCall, services: RemoteServices, board_path: str) -> None:
        self._call = call
        self._services = services
        self._folder = Path(call.scratch)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.attachment = self._folder / attach.ATTACHMENT_FILE
        self.attachment.write_text(json.dumps(attach.attachment(call, board_path)), encoding="utf-8")
        self._listener = attach.listen(self._folder)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._reports: list[Message] = []
        self.is_used = False
        self.marks: dict[str, int] = {}

    def serve(self, timeout_s: float) -> None:
        """Answer what scripts ask, waiting for the first question at most ``timeout_s``."""
        ready = self._selector.select(timeout_s)
        while ready:
            for key, _ in ready:
                if key.data is None:
                    connection, _ = self._listener.accept()
                    self.is_used = True
                    channel = Channel(connection)
                    self._selector.register(channel, selectors.EVENT_READ, channel)
                else:
                    self._answer(key.data)
            ready = self._selector.select(0)

    def metrics(self, run: Run) -> list[Any]:
        """The results that scripts set, over the last values that they logged."""
        returned: dict[str, Any] = {}
        for report in self._reports:
            returned.update(report["last"])
        for report in self._reports:
            returned.update(report["results"])
            for split, items in report["scores"].items():
                for item_id, score in items:
                    run.scores.add(split, item_id, score)
        is_simulated = any(report["is_simulated"] for report in self._reports)
        return list(result_metrics(self._call.metrics, returned, run.scores, is_simulated=is_simulated))

    def close(self) -> None:
        """Close every connection."""
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                key.data.close()
        self._selector.close()
        self._listener.close()

    def _answer(self, channel: Channel) -> None:
        question = channel.receive()
        if question is None:
            self._selector.unregister(channel)
            channel.close()
            return
        with contextlib.suppress(OSError):
            channel.send(self._reply(question))

    def _reply(self, question: Message) -> Message:
        ask = question.pop("ask")
        if ask == "report":
            self._reports.append(question)
            self.marks.update(question["mark"])
            return {"answer": None}
        try:
            return {"answer": self._services.ask(ask, **question)}
        except CrucibleError as error:
            return answer_of(error)
