"""What the zygote does between its start and its end: forks children, ends them, and leaves none behind."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, Final

from crucible.processors import child
from crucible.processors.process_control import adopt_orphans, die_with_parent, kill_group, kill_strays
from crucible.processors.zygote import REQUEST_BYTES_MAX, THREAD_VARIABLES

DESCRIPTORS_MAX: Final = 16
IDLE_S: Final = 0.05
"""After this long without a request the next module is imported ahead."""
POLL_S: Final = 0.002
"""How often an ending child is looked at."""
IMPORTED_FIRST: Final = ("crucible.definition.load", "crucible.spool.writer", "crucible.stage_blobs")
"""What every stage needs: imported once, while the worker's process imports what it needs itself."""
IMPORTED_AHEAD: Final = ("numpy",)
"""What most stages need: imported once here, while nobody waits, instead of in each child."""


class ZygoteLoop:
    """Answers requests of the worker until it is gone."""

    def __init__(self, control: socket.socket, parent_pid: int) -> None:
        """Leave the worker's session, so that a signal to its group does not end the children before they are ended."""
        self._control = control
        self._parent_pid = parent_pid
        self._children: set[int] = set()
        self._frozen_modules = 0
        self._ahead = list(IMPORTED_AHEAD) if _is_single_threaded_math() else []
        with contextlib.suppress(PermissionError):
            os.setsid()

    def run(self) -> None:
        """Serve until the worker's end of the control socket is closed."""
        try:
            signal.signal(signal.SIGTERM, self._on_terminate)
            adopt_orphans()
            if die_with_parent(signal.SIGTERM, self._parent_pid):
                self._serve()
        finally:
            self._end_all()

    def _on_terminate(self, *_: object) -> None:
        """The worker's thread has ended, or someone signals all processes: only the first ends the children."""
        if os.getppid() != self._parent_pid:
            self._end_all()
            os._exit(0)

    def _serve(self) -> None:
        for name in IMPORTED_FIRST:
            importlib.import_module(name)
        while True:
            if self._ahead and not select.select([self._control], [], [], IDLE_S)[0]:
                with contextlib.suppress(ImportError):
                    importlib.import_module(self._ahead.pop(0))
                continue
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES_MAX, DESCRIPTORS_MAX)
            except ConnectionError:
                return
            if not data:
                return
            answer = self._answer(json.loads(data), descriptors)
            with contextlib.suppress(ConnectionError):
                self._control.send(json.dumps(answer).encode())

    def _answer(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        try:
            if request["do"] == "fork":
                return {"pid": self._fork(descriptors)}
            return {"code": self._end(request["pid"], request["exit_wait_s"])}
        except OSError as error:
            return {"error": error.strerror}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _fork(self, descriptors: list[int]) -> int:
        self._freeze()
        zygote_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self._control.close()
                child.main(descriptors, zygote_pid)
            finally:
                os._exit(child.EXIT_FAULT)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._children.add(pid)
        return pid

    def _freeze(self) -> None:
        """Keep what is imported out of the children's garbage collection, so that its pages stay shared."""
        if len(sys.modules) != self._frozen_modules:
            self._frozen_modules = len(sys.modules)
            gc.collect()
            gc.freeze()

    def _end(self, pid: int, exit_wait_s: float) -> int:
        """End one child. Its group is killed before it is reaped: until then the number is not given anew."""
        deadline = time.monotonic() + exit_wait_s
        while time.monotonic() < deadline and not _has_ended(pid):
            time.sleep(POLL_S)
        kill_group(pid)
        self._children.discard(pid)
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            return child.EXIT_FAULT
        kill_strays(self._children)
        return os.waitstatus_to_exitcode(status)

    def _end_all(self) -> None:
        for pid in self._children:
            kill_group(pid)
        self._children.clear()
        kill_strays(())


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _is_single_threaded_math() -> bool:
    return all(os.environ.get(name) == "1" for name in THREAD_VARIABLES)
