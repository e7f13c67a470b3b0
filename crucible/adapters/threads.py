"""One thread for NumPy's matrix products while a session is open.

More threads sum in another order, so results would change with the number of cores; and matrices of this size are
slower with them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import threadpoolctl

_lock = threading.Lock()
_holders = 0
_limit: threadpoolctl.threadpool_limits | None = None


def hold_one_thread() -> None:
    """Take the limit; the first holder sets it."""
    global _holders, _limit  # noqa: PLW0603 - the setting is one per process, and so is its count
    with _lock:
        if _holders == 0:
            _limit = threadpoolctl.threadpool_limits(1, user_api="blas")
        _holders += 1


def release_one_thread() -> None:
    """Give the limit back; the last holder restores what was set before."""
    global _holders, _limit  # noqa: PLW0603 - the setting is one per process, and so is its count
    with _lock:
        _holders -= 1
        if _holders == 0 and _limit is not None:
            _limit.restore_original_limits()
            _limit = None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Hold the limit for a block."""
    hold_one_thread()
    try:
        yield
    finally:
        release_one_thread()
