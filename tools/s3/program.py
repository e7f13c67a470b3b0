"""The server's program: a Go module, built once into a cache outside the repository."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

VERSION: Final = "v1.8.0"
MODULE: Final = "github.com/versity/versitygw/cmd/versitygw"
BUILD_TIMEOUT_S: Final = 600


class NoS3ServerError(Exception):
    """There is no program, and none can be built here."""


def program() -> Path:
    """Where the program is, built if need be. Raises ``NoS3ServerError``."""
    folder = _cache() / VERSION
    path = folder / "versitygw"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _build(path)
    return path


def _build(path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        message = f"{path} is not there, and Go, which builds it, is not on the path"
        raise NoS3ServerError(message)
    beside = path.with_name("building")
    command = [go, "install", f"{MODULE}@{VERSION}"]
    environ = {**os.environ, "GOBIN": str(beside), "GOFLAGS": "-mod=mod"}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(command)} took longer than {BUILD_TIMEOUT_S} s"
        raise NoS3ServerError(message) from error
    if done.returncode:
        message = f"{' '.join(command)} failed: {' '.join(done.stderr.split())[-500:]}"
        raise NoS3ServerError(message)
    (beside / "versitygw").rename(path)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "crucible" / "s3"
