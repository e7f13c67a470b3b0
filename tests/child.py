"""Runs a function in a forked process, as another user or with a small disk, and brings back what it returned."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOBODY = 65534


def in_child(function: Callable[[], Any], *, is_unprivileged: bool = False, file_bytes_max: int | None = None) -> Any:
    """What ``function`` returns or raises there. A file can't grow above ``file_bytes_max``: writing fails."""
    with tempfile.TemporaryFile() as answer:
        pid = os.fork()
        if pid == 0:
            try:
                if file_bytes_max is not None:
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))
                if is_unprivileged and os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                result: tuple[bool, Any] = (True, function())
            except BaseException as error:
                result = (False, error)
            answer.write(pickle.dumps(result))
            answer.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        answer.seek(0)
        is_returned, value = pickle.loads(answer.read())
    if not is_returned:
        raise value
    return value


def files_below(folder: Path) -> list[str]:
    """Every file below ``folder``, relative and sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
