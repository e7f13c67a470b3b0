"""One S3 server on a folder: each folder in it is a bucket, each file below an object."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from tools.s3.program import NoS3ServerError, program

START_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.02
REGION: Final = "us-east-1"


class S3Server:
    """A server process. Close it; what it holds stays in its folder."""

    def __init__(self, folder: Path) -> None:
        """``folder`` gets ``buckets/`` and the server's log."""
        self._buckets = folder / "buckets"
        self._log = folder / "server.log"
        self._port = _free_port()
        self._keys = {"ROOT_ACCESS_KEY": secrets.token_hex(8), "ROOT_SECRET_KEY": secrets.token_hex(16)}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, folder: Path) -> Self:
        """A server that answers. Raises ``NoS3ServerError``."""
        server = cls(folder)
        server.restart()
        return server

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environ(self) -> Mapping[str, str]:
        """What tools of AWS need to know to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self._keys["ROOT_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self._keys["ROOT_SECRET_KEY"],
            "AWS_DEFAULT_REGION": REGION,
        }

    def make_bucket(self, name: str) -> Path:
        """Make a bucket; returns the folder that holds its objects as files."""
        path = self._buckets / name
        path.mkdir(parents=True)
        return path

    def restart(self) -> None:
        """Start the process again, on the same port and folder."""
        self.kill()
        self._buckets.mkdir(parents=True, exist_ok=True)
        command = [str(program()), "--quiet", "--port", f"127.0.0.1:{self._port}", "posix", str(self._buckets)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **self._keys}, stdout=log, stderr=log)
        self._wait()

    def kill(self) -> None:
        """End the process with -9."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Let it answer nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process. Safe to call twice."""
        self.resume()
        self.kill()

    def __enter__(self) -> Self:
        """The server itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()

    def _wait(self) -> None:
        until = time.monotonic() + START_TIMEOUT_S
        while self._process is not None and self._process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(POLL_S)
        self.kill()
        message = f"the S3 server does not start: {self._log.read_text(errors='replace')[-500:]}"
        raise NoS3ServerError(message)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
