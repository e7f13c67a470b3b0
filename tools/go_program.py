"""Programs in Go that tests use: built once, then kept in ``${XDG_CACHE_HOME:-~/.cache}/crucible``."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

FILES = ("main.go", "go.mod", "go.sum")
BUILD_TIMEOUT_S = 540


class UnavailableError(Exception):
    """The program can't be had on this machine; says why."""


def built(source: Path) -> Path:
    """The program whose source lies in a folder, built if it is not in the cache. Raises ``UnavailableError``."""
    digest = hashlib.sha256(b"".join((source / name).read_bytes() for name in FILES)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crucible" / source.name
    program = cache / digest / source.name
    if program.exists():
        return program
    if shutil.which("go") is None:
        message = f"tools/{source.name} is built with Go, and there is no go on the path"
        raise UnavailableError(message)
    program.parent.mkdir(parents=True, exist_ok=True)
    with _locked(program.parent / "lock"):
        if not program.exists():
            _build(source, program)
    return program


def _build(source: Path, program: Path) -> None:
    made = program.with_suffix(f".{os.getpid()}")
    command = ["go", "build", "-trimpath", "-o", str(made), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    if done.returncode:
        message = f"tools/{source.name} can't be built: {done.stderr.strip()[-500:]}"
        raise UnavailableError(message)
    made.replace(program)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
