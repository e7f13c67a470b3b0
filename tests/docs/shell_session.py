"""A shell that executes one command after the other, as a reader types them, and keeps what each one prints."""

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COMMAND_LIMIT_S = 120
"""For one command that is to end by itself."""
ENDLESS_LIMIT_S = 60
"""Until a command that does not end has printed what the page shows."""
LEAVE_LIMIT_S = 20
"""For a command that was interrupted."""
READ_BYTES = 65536
INHERITED = ("BOOTSTRAP", "LANG", "TMPDIR", "SYSTEMROOT")


@dataclass(frozen=True)
class Said:
    """What a command printed, on both streams, and how it ended."""

    output: str
    exit_code: int | None
    """None: it did not end in time."""


class ShellSession:
    """One bash, in one folder, with nothing of ours in its environment but the path to the commands."""

    def __init__(self, folder: Path) -> None:
        """Start it in a session of its own, so that all it starts can be ended."""
        folder.mkdir(parents=True, exist_ok=True)
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {
            "HOME": str(folder.parent),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PWD": str(folder),
            "USER": "you",
            "MPLCONFIGDIR": str(folder.parent / "matplotlib"),
        }
        environment.setdefault("LANG", "C.UTF-8")
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._mark = f"end-{secrets.token_hex(8)}"
        self._exit_code = 0
        self._kept = b""

    def run(self, command: str, limit_s: float = COMMAND_LIMIT_S) -> Said:
        """Run one command to its end."""
        self._send(command)
        return self._read(time.monotonic() + limit_s)

    def run_until(self, command: str, is_enough: Callable[[str], bool], limit_s: float) -> Said:
        """Run a command that does not end; interrupt it when it has printed enough, or when its time is up."""
        before = set(self._children())
        self._send(command)
        said = self._read(time.monotonic() + limit_s, is_enough)
        if said.exit_code is not None:
            return said
        for child in set(self._children()) - before:
            self._interrupt(child)
        rest = self._read(time.monotonic() + LEAVE_LIMIT_S)
        return Said(said.output, rest.exit_code)

    def close(self) -> None:
        """End the shell and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _send(self, command: str) -> None:
        # `(exit n)` gives the command the exit code of the one before it, so that `echo $?` says what a reader sees.
        text = f"(exit {self._exit_code})\n{{ {command}\n}} < /dev/null\nprintf '\\n{self._mark} %d\\n' $?\n"
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def _read(self, until: float, is_enough: Callable[[str], bool] | None = None) -> Said:
        kept, mark = self._kept, f"\n{self._mark} ".encode()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while True:
                text, found, rest = kept.partition(mark)
                if found and b"\n" in rest:
                    code, _, self._kept = rest.partition(b"\n")
                    self._exit_code = int(code)
                    return Said(_text(text), self._exit_code)
                if is_enough is not None and is_enough(_text(kept)):
                    break
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    break
                more = os.read(self._process.stdout.fileno(), READ_BYTES)
                if not more:
                    self._exit_code = self._process.wait()
                    return Said(_text(kept), self._exit_code)
                kept += more
        self._kept = kept
        return Said(_text(kept), None)

    def _children(self) -> list[int]:
        return _children_of(self._process.pid)

    def _interrupt(self, pid: int) -> None:
        """Do to a process and those below it what Ctrl-C does: whoever left the terminal's group is not interrupted."""
        below = _children_of(pid)
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == self._process.pid:
                os.kill(pid, signal.SIGINT)
        for child in below:
            self._interrupt(child)


def _children_of(pid: int) -> list[int]:
    """Asked of all processes: what the system lists as a process's children lacks some while one of them ends."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parent = stat.read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid:
                found.append(int(stat.parent.name))
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
