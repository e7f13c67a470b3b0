"""A schema registry that is not ours, with Confluent's HTTP API: ``with Registry() as registry: registry.url``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

from tools.go_program import UnavailableError, built

SOURCE = Path(__file__).parent
STOP_TIMEOUT_S = 10


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
    """The program, built if it is not there. Raises ``UnavailableError``."""
    return built(SOURCE)
