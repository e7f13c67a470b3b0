"""A worker process of the takeover test: how it is to end, and how it is paused and goes on."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
from pathlib import Path

from crucible.errors import LogError
from crucible.log.lock import FileLock

LOCK_WAIT_S = 0.25
"""How long others may need the log's lock before the worker that was just stopped must have it."""


@dataclasses.dataclass
class Life:
    """A worker process and how it is to end."""

    process: subprocess.Popen[bytes]
    plan: str | None
    """Point at which it is killed or paused; None: not at all."""
    is_pause: bool
    journal: Path
    gate: Path
    """Where a worker that is to be paused waits, once it came to its point."""
    started_s: float
    strike_s: float
    """When a worker without a named point is killed, or its stage is."""
    gate_file: int | None = None

    def has_struck(self) -> bool:
        return self.journal.exists()

    def pause(self, log_folder: Path) -> None:
        """Stop the process, which stands at its gate, at a moment when none of its threads holds the log's lock.

        A process that is stopped in the middle of an append stops the log, and then nobody can end its claim.
        """
        while True:
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            lock = FileLock(log_folder / "lock")
            try:
                with lock.within(LOCK_WAIT_S):
                    return
            except LogError:
                self.process.send_signal(signal.SIGCONT)
            finally:
                lock.close()

    def resume(self) -> None:
        """Let the process go on, from its point."""
        self.open_gate()
        self.process.send_signal(signal.SIGCONT)

    def open_gate(self) -> None:
        """From now on nothing holds the worker at its point."""
        if self.gate_file is None and self.gate.exists():
            self.gate_file = os.open(self.gate, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Forget the gate: the process has ended."""
        if self.gate_file is not None:
            os.close(self.gate_file)
            self.gate_file = None
