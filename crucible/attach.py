"""How a script that a stage started finds its run: `current_run` in it leads here.

The stage's process leaves a file with the call, the address of its services and the shared page; the script opens a
spool of its own, so that its telemetry outlives it as any stage's does.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, SupportsFloat

from crucible.board import Board
from crucible.errors import UsageError
from crucible.frames import Channel
from crucible.remote_services import RemoteServices
from crucible.run import Run
from crucible.spool.writer import SpoolWriter
from crucible.stage_call import StageCall

VARIABLE: Final = "CRUCIBLE_ATTACH"
"""Names the file that `write_attachment` wrote."""
SOCKET_FILE: Final = "services.sock"
ATTACHMENT_FILE: Final = "attach.json"


class ScriptTelemetry(SpoolWriter):
    """A spool writer that remembers the last value of each declared metric: a script returns nothing."""

    def __init__(self, folder: Path, call: StageCall, **options: int) -> None:
        """Use ``folder``; ``options`` are limits of a spool writer."""
        super().__init__(folder, call.claim_id, run_id=call.run_id, stage=call.stage, attempt=call.attempt, **options)
        self.last: dict[str, float] = {}
        self._declared = frozenset(call.metrics)

    def log(self, values: Mapping[str, SupportsFloat], step: int | None = None, time_us: int | None = None) -> None:
        """Keep the points, and the last value of what is declared."""
        super().log(values, step, time_us)
        for name in self._declared.intersection(values):
            self.last[name] = float(values[name])


def attachment(call: StageCall, board_path: str) -> dict[str, Any]:
    """What a script is told."""
    return {"call": call.to_message(), "board": board_path}


def attached_run() -> Run | None:
    """The run of the stage that started this script; None if none did. Raises ``UsageError`` when it has gone."""
    name = os.environ.get(VARIABLE)
    if name is None:
        return None
    try:
        told = json.loads(Path(name).read_text(encoding="utf-8"))
        call = StageCall.from_message(told["call"])
        services = RemoteServices(Channel(connect(Path(name).parent)))
        board = _open_board(told["board"])
    except OSError as error:
        message = f"the stage that {name} tells of has ended: {error.strerror}; unset {VARIABLE}"
        raise UsageError(message) from error
    beside = Path(call.spool).with_name(f"{call.claim_id}.{os.urandom(4).hex()}")
    telemetry = ScriptTelemetry(beside, call, spool_bytes_max=call.spool_bytes_max)
    run = Run(call, telemetry, services, board=board)
    atexit.register(_report, os.getpid(), run, telemetry, services)
    return run


def listen(folder: Path) -> socket.socket:
    """A socket for scripts to attach to, in ``folder``."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_name(folder) as path:
        listener.bind(path)
    listener.listen()
    return listener


def connect(folder: Path) -> socket.socket:
    """A connection to the socket that ``listen`` made."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_name(folder) as path:
        connection.connect(path)
    return connection


class _short_name:  # noqa: N801  used like a function
    """A path of the socket that fits into the 108 bytes that an address has (unix(7)), however deep the folder is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle = -1

    def __enter__(self) -> str:
        self._handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        proc = Path(f"/proc/self/fd/{self._handle}")
        return str((proc if proc.exists() else self._folder) / SOCKET_FILE)

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def _open_board(path: str) -> Board:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return Board(descriptor)
    finally:
        os.close(descriptor)


def _report(pid: int, run: Run, telemetry: ScriptTelemetry, services: RemoteServices) -> None:
    """Tell the stage's process the results when the script ends."""
    if os.getpid() != pid:
        return  # a process that the script forked: the script itself reports
    telemetry.close()
    services.ask(
        "report",
        results={name: _plain(value) for name, value in run.results.items()},
        last=telemetry.last,
        scores={split: list(run.scores.items(split).items()) for split in run.scores.splits},
        is_simulated=run.is_simulated,
        mark=telemetry.mark(),
    )


def _plain(value: Any) -> float | None:
    return None if value is None else float(value)
