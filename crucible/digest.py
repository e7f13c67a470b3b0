"""Digests of many things in whatever order: their count, and the sum of their hashes as an exact integer.

Adding is what makes them free of order, and exact integers what makes them the same on every machine. They tell equal
from different; against somebody who computes collisions on purpose they are no seal.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping

MODULUS = 1 << 256
"""Sums of SHA-256 are kept modulo this."""
MODEL_DIGEST_VERSION = 1
"""Changes with the way in which rows of the read model are hashed."""
LOG_DIGEST_VERSION = 1
"""Changes with the way in which records of a log are hashed."""


@dataclasses.dataclass(frozen=True, slots=True)
class TableDigest:
    """What a table holds, in whatever order."""

    rows: int
    total: int
    """Sum of the hashes of rows, modulo 2**256."""

    @property
    def hex(self) -> str:
        """The sum, 64 hexadecimal digits."""
        return f"{self.total:064x}"


@dataclasses.dataclass(frozen=True, slots=True)
class ModelDigest:
    """What a read model holds."""

    tables: Mapping[str, TableDigest]
    """By table, without those that have no content of their own."""

    @property
    def hex(self) -> str:
        """SHA-256 over the names, row counts and sums of all tables."""
        lines = [f"{name} {table.rows} {table.hex}\n" for name, table in sorted(self.tables.items())]
        return hashlib.sha256("".join([f"model {MODEL_DIGEST_VERSION}\n", *lines]).encode()).hexdigest()

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())

    def differences(self, other: ModelDigest) -> list[str]:
        """The names of the tables that differ, sorted."""
        names = sorted({*self.tables, *other.tables})
        return [name for name in names if self.tables.get(name) != other.tables.get(name)]


@dataclasses.dataclass(frozen=True, slots=True)
class LogDigest:
    """Which records a log holds."""

    records: TableDigest

    @property
    def hex(self) -> str:
        """SHA-256 over count and sum."""
        return hashlib.sha256(
            f"log {LOG_DIGEST_VERSION}\n{self.records.rows} {self.records.hex}\n".encode()
        ).hexdigest()


def results_digest(digests: Iterable[str]) -> str:
    """The digest of several runs' results, in whatever order: of a submission, an experiment, a log."""
    numbers = [int(digest, 16) for digest in digests]
    return hashlib.sha256(f"results {len(numbers)} {sum(numbers) % MODULUS:064x}\n".encode()).hexdigest()
