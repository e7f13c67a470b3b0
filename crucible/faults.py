"""Named points of the protocol at which a test can kill the process or hold a thread, so that each one is really hit.

``CRUCIBLE_FAULT="checkpoint:after-file=kill@2"`` kills the process with -9 when it comes to that point for the second
time; ``hold`` lets the thread that came there wait at a gate, and all others go on. Several are separated by commas.
Without the variable a point costs one look-up.
"""

from __future__ import annotations

import os
import signal

from crucible.errors import UsageError

VARIABLE = "CRUCIBLE_FAULT"
JOURNAL_VARIABLE = "CRUCIBLE_FAULT_JOURNAL"
"""File to which the name of each point that struck is appended."""
GATE_VARIABLE = "CRUCIBLE_FAULT_GATE"
"""Named pipe at which ``hold`` waits until somebody opens it for writing."""
_ACTIONS = ("kill", "hold")

_armed: dict[str, tuple[str, int]] | None = None
_visits: dict[str, int] = {}


def fault_point(name: str) -> None:
    """Strike here if the environment says so."""
    armed = _read() if _armed is None else _armed
    if name not in armed:
        return
    _visits[name] = _visits.get(name, 0) + 1
    action, visit = armed[name]
    if _visits[name] != visit:
        return
    _note(name)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        os.close(os.open(os.environ[GATE_VARIABLE], os.O_RDONLY | os.O_CLOEXEC))


def _read() -> dict[str, tuple[str, int]]:
    """Read the environment once in each process tree."""
    global _armed  # noqa: PLW0603  the environment is read once
    armed: dict[str, tuple[str, int]] = {}
    for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, rest = part.partition("=")
        action, _, visit = rest.partition("@")
        if action not in _ACTIONS or not (visit or "1").isdecimal():
            message = f"{VARIABLE}: {part!r} is no fault; expected for example checkpoint:after-file=kill@1"
            raise UsageError(message)
        armed[name] = (action, int(visit or 1))
    _armed = armed
    return armed


def _note(name: str) -> None:
    """Append the name, for whoever waits for the point to be reached."""
    path = os.environ.get(JOURNAL_VARIABLE)
    if path is None:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, f"{name}\n".encode())
    finally:
        os.close(descriptor)
