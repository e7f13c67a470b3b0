"""Hooks of a claim: a user's functions and commands, called before and after a run and a stage and when one fails.

They run where the stage runs, so that they see what it sees; each is noted before it is called and after it returned.
A hook may be called again, by the next claim, when its own ended in the middle of it: the claim id tells them apart.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from crucible.definition.command import fill_command
from crucible.errors import FencedError, HookError, StageCanceledError, StageError
from crucible.run import Run
from crucible.stage_call import ERROR_FIELDS, HOOK_FIELDS, StageCall

MESSAGE_CHARACTERS_MAX: Final = 1_000
ON_ERROR: Final = "on_error"
CONTINUE: Final = "continue"

Note = Callable[..., object]
"""Told of each hook: ``begin_hook`` with hook and function, ``end_hook`` with how it went."""


class HookTimeoutError(StageError):
    """A hook took longer than it may."""


class LostStageError(StageError):
    """A stage failed in another process; what is known of it is in the text."""

    def __init__(self, failure: Mapping[str, str]) -> None:
        """Keep ``error_class``, ``error_type`` and ``message`` of ``failure``."""
        self.error_class, self.error_type = failure["error_class"], failure["error_type"]
        super().__init__(failure["message"])


class StageHooks:
    """The hooks of one claim. For one thread of the process that the stage runs in."""

    def __init__(self, call: StageCall, run: Run, note: Note) -> None:
        """Call nothing yet."""
        self._call = call
        self._run = run
        self._note = note
        self._pid = os.getpid()
        self.took_s = 0.0
        """Seconds that hooks took: they are no part of what the stage took."""

    def before(self) -> None:
        """Call ``before_run``, if this is its stage, and ``before_stage``. Raises ``HookError``."""
        self.call("before_run")
        self.call("before_stage")

    def after(self) -> None:
        """Call ``after_stage`` and, if this is its stage, ``after_run``. Raises ``HookError``."""
        self.call("after_stage")
        self.call("after_run")

    def failed(self, error: BaseException, error_class: str) -> None:
        """Call ``on_error``. Whatever comes of it, the stage has failed with ``error``."""
        with contextlib.suppress(HookError):
            self.call(ON_ERROR, error, error_class)

    def call(self, name: str, error: BaseException | None = None, error_class: str = "") -> None:
        """Call a hook, if there is one of this name. Raises ``HookError`` if it fails and its policy says so."""
        hook = self._call.hooks.get(name)
        if hook is None or os.getpid() != self._pid:
            return
        target = described(hook)
        self._note("begin_hook", hook=name, function=target, timeout_s=hook["timeout_s"], policy=hook["on_failure"])
        began_s = time.monotonic()
        problem: BaseException | None = None
        try:
            if hook["command"] is not None:
                self._start(hook["command"], name, hook["timeout_s"], error, error_class)
            else:
                arguments = (self._run,) if error is None else (self._run, error)
                with _time_limit(hook["timeout_s"]):
                    self._function(hook["function"])(*arguments)
        except (FencedError, StageCanceledError):
            raise
        except BaseException as raised:  # noqa: BLE001  a user's code may raise anything, also SystemExit
            problem = raised
        took_s = time.monotonic() - began_s
        self.took_s += took_s
        self._note(
            "end_hook",
            duration_ms=took_s * 1000,
            error_type=None if problem is None else type(problem).__name__,
            message="" if problem is None else one_line(problem),
        )
        if problem is not None and hook["on_failure"] != CONTINUE:
            message = f"hook {name} ({target}) failed: {type(problem).__name__}: {one_line(problem)}"
            raise HookError(message) from problem

    def _function(self, target: Any) -> Callable[..., object]:
        if callable(target):
            function: Callable[..., object] = target
            return function
        from crucible.definition.stage_function import find_stage_of_type

        path = None if self._call.code_path is None else Path(self._call.code_path)
        found = find_stage_of_type(target, path, self._call.code_digest).function
        if found is None:
            message = f"{target!r} is no function"
            raise LookupError(message)
        return found

    def _start(self, command: str, name: str, timeout_s: float, error: BaseException | None, error_class: str) -> None:
        values: dict[str, Any] = {field: getattr(self._call, field) for field in HOOK_FIELDS if field != "hook"}
        values["hook"] = name
        if error is not None:
            error_type = getattr(error, "error_type", type(error).__name__)
            values |= dict(zip(ERROR_FIELDS, (error_class, error_type, one_line(error)), strict=True))
        words = fill_command(command, values)
        folder = str(Path(sys.executable).parent)
        environ = {
            **os.environ,
            **{f"CRUCIBLE_{field.upper()}": str(value) for field, value in values.items()},
            "CRUCIBLE_PARAMS": json.dumps(dict(self._call.params), sort_keys=True),
            "PATH": os.pathsep.join([folder, os.environ.get("PATH", os.defpath)]),
        }
        process = subprocess.Popen(words, env=environ, stdin=subprocess.DEVNULL)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            message = f"it took longer than {timeout_s:g} s"
            raise HookTimeoutError(message) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if code:
            names = {each.value: each.name for each in signal.Signals}
            how = f"signal {names.get(-code, -code)}" if code < 0 else f"exit code {code}"
            message = f"the command ended with {how}; its output says more"
            raise StageError(message)


def described(hook: Mapping[str, Any]) -> str:
    """What a hook calls, in one line."""
    target = hook["command"] if hook["command"] is not None else hook["function"]
    return str(getattr(target, "__qualname__", target))[:MESSAGE_CHARACTERS_MAX]


def one_line(error: BaseException) -> str:
    """What an error says, whatever its ``__str__`` does, in one line that a record can hold."""
    try:
        text = " ".join(str(error).split())
    except Exception as problem:  # noqa: BLE001  a broken __str__ is the user's, not ours
        text = f"(its text can't be made: {type(problem).__name__})"
    return text[:MESSAGE_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def _time_limit(timeout_s: float) -> Iterator[None]:
    """Raise ``HookTimeoutError`` in the block once it takes longer; elsewhere than in the main thread nothing does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        message = f"it took longer than {timeout_s:g} s"
        raise HookTimeoutError(message)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
