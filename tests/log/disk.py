"""A disk that fails on demand, as a file layer for SQLite."""

from __future__ import annotations

import itertools
from typing import Literal

import apsw

Failure = Literal["full", "write", "torn", "sync"]
_NAMES = itertools.count()


class FailingDisk:
    """Fails the n-th call of its kind from ``arm`` on, and every later one until ``disarm``."""

    def __init__(self) -> None:
        self.name = f"failing-{next(_NAMES)}"
        self.failure: Failure | None = None
        self.calls_left = 0
        self.has_failed = False
        self._layer = _Layer(self)

    def arm(self, failure: Failure, calls_before: int) -> None:
        self.failure, self.calls_left, self.has_failed = failure, calls_before, False

    def disarm(self) -> None:
        self.failure = None

    def strikes(self, *failures: Failure) -> bool:
        """Whether this call fails."""
        if self.failure not in failures:
            return False
        self.calls_left -= 1
        self.has_failed |= self.calls_left < 0
        return self.calls_left < 0


class _Layer(apsw.VFS):
    def __init__(self, disk: FailingDisk) -> None:
        self.disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name, flags):
        return _File(self.disk, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name, flags) -> None:
        self.disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data, offset):
        if self.disk.strikes("full", "write", "torn"):
            if self.disk.failure == "torn":
                super().xWrite(data[: len(data) // 2], offset)
            raise apsw.exception_for(apsw.SQLITE_FULL if self.disk.failure == "full" else apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

    def xSync(self, flags):
        if self.disk.strikes("sync"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
