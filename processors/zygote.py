"""The process that forks the processes that run stages.

A worker has threads, locks and open files, none of which a stage may inherit. The zygote has none: it is forked
before there is a thread, or started as a program of its own where that is too late, and it forks children on request.
It ends every child, with whatever that has started, when the worker asks, and all of them when the worker is gone,
even by ``kill -9``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

from crucible.errors import StorageError
from crucible.processors.process_control import kill_group
from crucible.standard_streams import open_standard_streams

REQUEST_BYTES_MAX: Final = 4096
CLOSE_TIMEOUT_S: Final = 5.0
"""How long the zygote may take to end its children."""
THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Children compute with one thread each unless these say otherwise: stages run side by side."""


@dataclasses.dataclass(frozen=True, slots=True)
class ZygoteStatistics:
    """What a zygote has done."""

    pid: int
    children: int
    """Children alive now."""
    forks: int
    """Children ever."""
    restarts: int
    """How often the zygote was found dead and started anew."""


class Zygote:
    """A handle of the zygote. Every method may be called from any thread."""

    def __init__(self) -> None:
        """Use `start`."""
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._program: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._children: set[int] = set()
        self._forks = 0
        self._restarts = 0

    @classmethod
    def start(cls) -> Zygote:
        """Start the zygote: by a fork if this process has one thread, which is fast, else as a program."""
        open_standard_streams()
        zygote = cls()
        zygote._launch(is_forked=threading.active_count() == 1)
        return zygote

    def fork_child(self, descriptors: Sequence[int]) -> int:
        """Fork a child that gets copies of ``descriptors`` (`crucible.processors.child.main` says which); its pid.

        The child leads a process group of its own. A zygote that has died is started anew.
        """
        with self._lock:
            try:
                pid = int(self._ask({"do": "fork"}, descriptors)["pid"])
            except (OSError, EOFError):
                self._relaunch()
                pid = int(self._ask({"do": "fork"}, descriptors)["pid"])
            self._children.add(pid)
            self._forks += 1
            return pid

    def end_child(self, pid: int, *, exit_wait_s: float = 0.0) -> int | None:
        """End a child with all that it has started; returns its exit code, -n if signal n ended it.

        It may take ``exit_wait_s`` to end by itself. None: the zygote had died, and the code with it.
        """
        with self._lock:
            self._children.discard(pid)
            try:
                return int(self._ask({"do": "end", "pid": pid, "exit_wait_s": exit_wait_s})["code"])
            except (OSError, EOFError):
                kill_group(pid)
                return None

    def statistics(self) -> ZygoteStatistics:
        """What was done so far."""
        with self._lock:
            return ZygoteStatistics(self._pid, len(self._children), self._forks, self._restarts)

    def close(self) -> None:
        """End the zygote and all children. Safe to call twice."""
        with self._lock:
            self._shut()

    def _launch(self, *, is_forked: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            if is_forked:
                self._pid = _fork_zygote(theirs, ours)
            else:
                self._program = _start_program(theirs)
                self._pid = self._program.pid
        finally:
            theirs.close()
        self._control = ours

    def _relaunch(self) -> None:
        self._shut()
        for pid in self._children:
            kill_group(pid)
        self._children.clear()
        self._restarts += 1
        self._launch(is_forked=False)

    def _shut(self) -> None:
        control, self._control = self._control, None
        if control is None:
            return
        control.close()
        if self._program is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._program.wait(CLOSE_TIMEOUT_S)
            if self._program.returncode is None:
                self._program.kill()
                self._program.wait()
            self._program = None
        else:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)

    def _ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        if self._control is None:
            message = "the zygote is closed: no stage can be started any more"
            raise StorageError(message)
        socket.send_fds(self._control, [json.dumps(request).encode()], list(descriptors))
        answer = self._control.recv(REQUEST_BYTES_MAX)
        if not answer:
            raise EOFError
        decoded: dict[str, Any] = json.loads(answer)
        if "error" in decoded:
            message = f"no process for a stage can be started: {decoded['error']}"
            raise StorageError(message)
        return decoded


def _fork_zygote(theirs: socket.socket, ours: socket.socket) -> int:
    parent_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _serve(theirs, parent_pid)
        finally:
            os._exit(0)
    return pid


def _start_program(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """Start the zygote as a program: a process of many threads can't fork one safely."""
    number = theirs.fileno()
    code = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from crucible.processors import zygote; zygote.main()"
    )
    arguments = [sys.executable, "-P", "-c", code, json.dumps(sys.path), str(number), str(os.getpid())]
    return subprocess.Popen(arguments, pass_fds=[number], stdin=subprocess.DEVNULL)


def main() -> None:
    """Be the zygote of the process that started this program."""
    _serve(socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3]))


def _serve(control: socket.socket, parent_pid: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    from crucible.processors.zygote_loop import ZygoteLoop

    ZygoteLoop(control, parent_pid).run()
