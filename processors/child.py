"""A child: the process in which stages run, one after the other, each as if it were the first.

It gets its sockets and pipes from the zygote, is told what to run by the worker, and ends when either is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from crucible.board import Board
from crucible.frames import Channel, Message
from crucible.processors.process_control import adopt_orphans, die_with_parent, flush_c_streams, has_children
from crucible.processors.process_state import ProcessState
from crucible.processors.stage_host import host_stage
from crucible.run_seeds import seed_imported
from crucible.spool.writer import SpoolWriter
from crucible.stage_call import StageCall

EXIT_FAULT: Final = 70
"""Exit code of a child that fails outside a stage."""
DUMP_SIGNAL: Final = signal.SIGUSR2
"""Makes a child write where each of its threads stands, even while it hangs in foreign code."""
KEPT_THREAD_MODULES: Final = frozenset({"tqdm._monitor"})
"""Threads of these modules serve the whole process and may outlive a stage."""


def main(descriptors: Sequence[int], zygote_pid: int) -> None:
    """Be a child. ``descriptors``: socket to the worker, stdout, stderr, board, trace, then locks only to hold."""
    os.setpgid(0, 0)
    if not die_with_parent(signal.SIGKILL, zygote_pid):
        os._exit(EXIT_FAULT)
    adopt_orphans()
    connection, out, err, board, trace = descriptors[:5]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, descriptor in descriptors[5:])
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    faulthandler.enable(file=trace, all_threads=True)
    faulthandler.register(DUMP_SIGNAL, file=trace, all_threads=True, chain=False)
    atexit._clear()  # noqa: SLF001  what the zygote inherited is not ours to end
    child = Child(Channel(socket.socket(fileno=connection)), Board(board), f"/proc/{os.getpid()}/fd/{board}")
    try:
        child.serve()
        atexit._run_exitfuncs()  # noqa: SLF001  os._exit would leave out what stages have registered
    except Exception:  # noqa: BLE001  the worker sees how it ended
        traceback.print_exc()
        os._exit(EXIT_FAULT)
    os._exit(0)


class Child:
    """Runs stages until the worker has no more for it."""

    def __init__(self, channel: Channel, board: Board, board_path: str) -> None:
        """Remember what a stage may change."""
        self._channel = channel
        self._board = board
        self._board_path = board_path
        self._stdout, self._stderr = _text_stream(1), _text_stream(2)
        self._environ = os.environ.copy()
        self._environ_bytes = _environ_bytes()
        self._state = ProcessState()
        self._pid = os.getpid()
        self._umask = os.umask(0o022)
        os.umask(self._umask)

    def serve(self) -> None:
        """Run each stage that the worker sends, and answer with its outcome."""
        while (message := self._channel.receive()) is not None and "stage" in message:
            call = StageCall.from_message(message["stage"])
            self._reset(call)
            telemetry = _spool(call)
            outcome = host_stage(call, self._channel, telemetry, self._board, self._board_path)
            if os.getpid() != self._pid:
                self._leave(outcome)
            outcome["is_tainted"] = not self._state.restore() or self._is_tainted()
            self._flush()
            self._channel.send({"outcome": outcome})
            if any(outcome["marks"].values()):
                self._channel.receive()  # the worker has it all; until then the spool's lock says that it is ours
            telemetry.close()

    def _reset(self, call: StageCall) -> None:
        """Give the stage the environment, folder, streams, signals and random state that the first one had."""
        if _environ_bytes() != self._environ_bytes:
            os.environ.clear()
            os.environ.update(self._environ)
        folder = Path(call.code_path).parent if call.code_path else Path(call.scratch)
        if not folder.is_dir():
            folder = Path(call.scratch)
            folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        os.umask(self._umask)
        if self._stdout.closed or self._stderr.closed:
            self._stdout, self._stderr = _text_stream(1), _text_stream(2)
        sys.stdout, sys.stderr = self._stdout, self._stderr
        signal.signal(signal.SIGTERM, _stay)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        seed_imported(call.seed)

    def _leave(self, outcome: Message) -> NoReturn:
        """End a process that the stage forked and that came back from it: only the stage's own may answer."""
        sys.stderr.write(outcome.get("traceback", ""))
        self._flush()
        os._exit(0 if outcome["status"] == "completed" else 1)

    def _flush(self) -> None:
        for stream in {sys.stdout, sys.stderr, self._stdout, self._stderr}:
            with contextlib.suppress(Exception):
                stream.flush()
        flush_c_streams()

    def _is_tainted(self) -> bool:
        """Whether the stage has left something running: the next one must not share a process with it."""
        others = [
            thread
            for thread in threading.enumerate()
            if thread is not threading.main_thread() and type(thread).__module__ not in KEPT_THREAD_MODULES
        ]
        return bool(others) or has_children()


def _environ_bytes() -> dict[Any, Any]:
    """The environment as the system has it: comparing it decoded takes ten times as long, for each stage."""
    return dict(os.environ._data)  # type: ignore[attr-defined]  # noqa: SLF001


def _stay(*_: Any) -> None:
    """The worker decides when a child ends; a signal to all processes of a machine is for the worker."""


def _spool(call: StageCall) -> SpoolWriter:
    return SpoolWriter(
        Path(call.spool),
        call.claim_id,
        run_id=call.run_id,
        stage=call.stage,
        attempt=call.attempt,
        spool_bytes_max=call.spool_bytes_max,
    )


def _text_stream(number: int) -> TextIO:
    return open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
