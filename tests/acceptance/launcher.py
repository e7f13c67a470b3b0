"""Commands without the price of a start: each is a fork of a process that has imported what commands need.

A command's process is its own: folder, environment, standard streams, exit. What it shares with others of the same
launcher is the seed of Python's hashes, so whatever compares digests is started afresh (``Project.run`` does).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

PRELOADED = (
    "crucible.__main__", "crucible.cli.run", "crucible.cli.query", "crucible.cli.show", "crucible.cli.catalog",
    "crucible.cli.stream", "crucible.cli.control", "crucible.cli.report", "crucible.definition.load",
    "crucible.projections.readmodel", "crucible.projections.query_port", "crucible.bench.proportions", "scipy.special",
)  # fmt: skip
AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ")
"""Variables that a process reads when it starts; one that differs needs a process of its own."""
REQUEST_BYTES_MAX = 200_000
READ_BYTES = 65_536


def is_ready_for(environ: dict[str, str]) -> bool:
    """Whether a fork of this process's launcher is what a start with these variables would be."""
    return _at_start(environ) == _at_start(os.environ)


def _at_start(environ) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(AT_START)}


class Launcher:
    """Starts commands in forks of a process of its own."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST_BYTES_MAX)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.launcher", str(theirs.fileno())], pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith("CRUCIBLE_")},
            )  # fmt: skip

    def run(
        self, arguments: list[str], folder: Path, environ: dict[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run ``crucible ARGUMENTS`` and wait, as ``subprocess.run`` does: until its streams are closed and it has ended."""
        request = json.dumps({"arguments": arguments, "folder": str(folder), "environ": environ}).encode()
        pipes = [os.pipe() for _ in range(3)]
        try:
            with self._lock:
                socket.send_fds(self._control, [request], [write for _, write in pipes])
        finally:
            for _, write in pipes:
                os.close(write)
        out, err, status = self._read([read for read, _ in pipes], arguments, time.monotonic() + timeout_s)
        _, code = status.split()
        return subprocess.CompletedProcess(arguments, int(code), out.decode(), err.decode())

    def _read(self, reads: list[int], arguments: list[str], deadline: float) -> list[bytes]:
        texts = dict.fromkeys(reads, b"")
        with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as opened:
            for read in reads:
                opened.callback(os.close, read)
                waiting.register(read, selectors.EVENT_READ)
            while waiting.get_map():
                ready = waiting.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    with contextlib.suppress(ValueError, IndexError, ProcessLookupError):
                        os.kill(int(texts[reads[2]].split()[0]), signal.SIGKILL)
                    raise subprocess.TimeoutExpired(arguments, deadline, texts[reads[0]], texts[reads[1]])
                for key, _ in ready:
                    data = os.read(key.fd, READ_BYTES)
                    texts[key.fd] += data
                    if not data:
                        waiting.unregister(key.fd)
        return list(texts.values())


@functools.cache
def launcher() -> Launcher:
    """The launcher of this process."""
    return Launcher()


def _serve(control: socket.socket) -> dict | None:
    """Fork for each request; returns it in the fork, and None in the launcher once nobody can ask any more."""
    statuses: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fd in statuses:
                    pid, status = statuses.pop(key.fd)
                    waiting.unregister(key.fd)
                    os.close(key.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    with contextlib.suppress(BrokenPipeError):  # nobody waits any more: it took too long
                        os.write(status, f" {code}".encode())
                    os.close(status)
                    continue
                data, descriptors, _, _ = socket.recv_fds(control, REQUEST_BYTES_MAX, 3)
                if not data:
                    return None
                pid = os.fork()
                if pid == 0:
                    for each in (*statuses, *(status for _, status in statuses.values())):
                        os.close(each)
                    for target, source in zip((1, 2), descriptors[:2], strict=True):
                        os.dup2(source, target)
                    for each in (*descriptors, control.fileno()):
                        os.close(each)
                    return json.loads(data)
                for each in descriptors[:2]:
                    os.close(each)
                with contextlib.suppress(BrokenPipeError):
                    os.write(descriptors[2], str(pid).encode())
                pidfd = os.pidfd_open(pid)
                statuses[pidfd] = (pid, descriptors[2])
                waiting.register(pidfd, selectors.EVENT_READ)


def _become(request: dict) -> None:
    """Be the process of one command; does not return."""
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        former = getattr(sys, name)
        stream = os.fdopen(number, "w", encoding=former.encoding, errors=former.errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.path[0] = request["folder"]
    main = importlib.import_module("crucible.__main__")
    sys.argv = [str(main.__file__), *request["arguments"]]
    main.main()


if __name__ == "__main__":
    for each in PRELOADED:
        importlib.import_module(each)
    gc.freeze()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        _become(asked)
