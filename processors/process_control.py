"""What Linux offers to leave no process behind: death signals, subreapers, process groups.

Elsewhere these calls do nothing, and the end of a control socket alone ends a process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
SWEEPS_MAX: Final = 200
"""How often strays are looked for: killing one may hand its own children to us."""
SWEEP_DELAY_S: Final = 0.005

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(sign: signal.Signals, parent_pid: int) -> bool:
    """Ask for ``sign`` when the thread that forked this process ends (prctl(2)); False if it has ended already."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
    return os.getppid() == parent_pid


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that they can be found (prctl(2))."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def flush_c_streams() -> None:
    """Write out what C code has printed and not yet flushed."""
    _libc.fflush(None)


def has_children() -> bool:
    """Whether this process has a child, alive or ended."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def child_pids() -> list[int]:
    """The children of this process, alive or ended; empty where the system does not tell."""
    found: list[int] = []
    for task in _entries(Path("/proc/self/task")):
        with contextlib.suppress(OSError, ValueError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def kill_group(pid: int) -> None:
    """End every process of the group that ``pid`` leads."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_strays(known: Collection[int]) -> int:
    """End and reap every child that is not known: descendants that were handed to us. Returns how many there were."""
    count = 0
    for _ in range(SWEEPS_MAX):
        strays = [pid for pid in child_pids() if pid not in known]
        if not strays:
            break
        for pid in strays:
            count += _reap(pid)
        time.sleep(SWEEP_DELAY_S)
    return count


def _reap(pid: int) -> int:
    """End a process and take its status; 1 if it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    try:
        return int(os.waitpid(pid, os.WNOHANG)[0] == pid)
    except ChildProcessError:
        return 0


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
