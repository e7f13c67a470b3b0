"""A schema registry with Confluent's HTTP API that is not ours, for tests: built with Go once, then kept.

``with Registry() as registry: registry.url``. The program lies in ``${XDG_CACHE_HOME:-~/.cache}/crucible/registry``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

SOURCE = Path(__file__).parent
FILES = ("main.go", "go.mod", "go.sum")
BUILD_TIMEOUT_S = 540
STOP_TIMEOUT_S = 10


class UnavailableError(Exception):
    """The registry can't be had on this machine; says why."""


class Registry:
    """A running registry with nothing in it. ``login`` is ``user:password``, if it shall ask for one."""

    def __init__(self, login: str = "") -> None:
        """Start it. Raises ``UnavailableError``."""
        self._process = subprocess.Popen(
            [build()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"LOGIN": login}, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        """``http://host:port``."""
        if not self.url:
            message = f"the registry ended with exit code {self._process.wait(STOP_TIMEOUT_S)} at its start"
            raise UnavailableError(message)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.close()

    def close(self) -> None:
        """Stop it. Safe to call twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(STOP_TIMEOUT_S)


def build() -> Path:
    """The program, built if it is not in the cache. Raises ``UnavailableError``."""
    digest = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in FILES)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crucible" / "registry"
    program = cache / digest / "registry"
    if program.exists():
        return program
    if shutil.which("go") is None:
        message = "the schema registry that tests use is built with Go, and there is no go on the path"
        raise UnavailableError(message)
    program.parent.mkdir(parents=True, exist_ok=True)
    with _locked(program.parent / "lock"):
        if not program.exists():
            made = program.with_suffix(f".{os.getpid()}")
            command = ["go", "build", "-trimpath", "-o", str(made), "."]
            done = subprocess.run(
                command, cwd=SOURCE, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
            )
            if done.returncode:
                message = f"the schema registry that tests use can't be built: {done.stderr.strip()[-500:]}"
                raise UnavailableError(message)
            made.replace(program)
    return program


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
