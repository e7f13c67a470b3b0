"""The DuckDB file of the read model: opened, made, checked against its log, and set aside when it can't be trusted.

The file is a cache. Whatever is wrong with it (missing, torn, of another version, of another log) has one cure: put it
aside and read the log again. Only a lock or a disk that refuses is an error, for a new file would not help.
"""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crucible.errors import ReadModelError
from crucible.faults import fault_point
from crucible.projections.tables import MODEL_VERSION, create_tables

MEMORY_LIMIT = "1GB"
"""What DuckDB may use by default, in its words; its own default is four fifths of the machine for each process."""
SPILL_MAX = "10GB"
"""Most that queries may put on disk beside the model, in DuckDB's words."""
THREADS = 2
"""Threads of DuckDB by default."""
CHECKPOINT_SIZE = "64MiB"
"""Size of the write-ahead log at which a commit checkpoints."""
ASIDE_SUFFIX = ".aside"
"""Ends the name of a model that was set aside; the one before it is removed."""
WAL_SUFFIX = ".wal"
REBUILT_SUFFIX = ".rebuilt"
"""Ends the name of a finished model that waits for the next owner of the engine lock."""

Check = Callable[[Any], str | None]
"""Looks at a model through a connection: why it can't be used, or None."""


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """A connection to a usable model."""

    connection: Any
    rebuilt_because: str | None
    """Why the model begins empty although there was one; None if it goes on, or if there was none."""
    is_new: bool


def open_database(path: Path, check: Check, *, memory_limit: str = MEMORY_LIMIT, threads: int = THREADS) -> Opened:
    """Open the model at ``path``, or make an empty one.

    Raises ``ReadModelError`` when another process has the file open, or the disk does not let us.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    adopt_rebuilt(path, check)
    if not path.exists():
        Path(f"{path}{WAL_SUFFIX}").unlink(missing_ok=True)
        return Opened(_create(path, memory_limit, threads), None, is_new=True)
    connection, problem = try_open(path, check, memory_limit=memory_limit, threads=threads)
    if connection is not None:
        return Opened(connection, None, is_new=False)
    set_aside(path)
    return Opened(_create(path, memory_limit, threads), problem, is_new=True)


def rebuilt_path(path: Path) -> Path:
    """Where a rebuilt model waits for the next owner of the engine lock."""
    return path.with_name(f"{path.name}{REBUILT_SUFFIX}")


def adopt_rebuilt(path: Path, check: Check) -> bool:
    """Put a rebuilt model that waits in the place of the one at ``path``, which is set aside; False if there is none.

    The caller holds the engine lock. A kill in between costs nothing: whoever comes next goes on.
    """
    rebuilt = rebuilt_path(path)
    if not rebuilt.exists():
        return False
    connection, _ = try_open(rebuilt, check)
    if connection is None:  # of another version, or of a log that was here before
        rebuilt.unlink()
        return False
    connection.close()
    fault_point("rebuild:before-aside")
    if path.exists():
        set_aside(path)
    fault_point("rebuild:before-adoption")
    rebuilt.replace(path)
    fault_point("rebuild:after-adoption")
    return True


def set_aside(path: Path) -> None:
    """Give the model and its write-ahead log another name, in place of what was set aside before."""
    for suffix in (WAL_SUFFIX, ""):
        source, target = Path(f"{path}{suffix}"), Path(f"{path}{ASIDE_SUFFIX}{suffix}")
        if source.exists():
            source.replace(target)
        else:
            target.unlink(missing_ok=True)


def try_open(
    path: Path,
    check: Check,
    *,
    memory_limit: str = MEMORY_LIMIT,
    threads: int = THREADS,
    is_read_only: bool = False,
) -> tuple[Any, str | None]:
    """A connection to a model that passes, or None and why there is none; nothing is set aside.

    A model that nobody writes may be open in several processes, in each of them ``is_read_only``.
    Raises ``ReadModelError`` when another process has the file open, or the disk does not let us.
    """
    import duckdb

    try:
        connection = _connect(path, memory_limit, threads, is_read_only=is_read_only)
    except duckdb.Error as error:
        _raise_if_not_ours(path, error)
        return None, f"it can't be opened: {_first_line(error)}"
    try:
        problem = _version_problem(connection) or check(connection)
    except duckdb.Error as error:
        problem = f"it can't be read: {_first_line(error)}"
    except BaseException:
        connection.close()
        raise
    if problem is not None:
        connection.close()
        return None, problem
    return connection, None


def _create(path: Path, memory_limit: str, threads: int) -> Any:
    import duckdb

    try:
        connection = _connect(path, memory_limit, threads)
        connection.execute("BEGIN")
        create_tables(connection)
        connection.execute("INSERT INTO meta VALUES ('model_version', ?)", [MODEL_VERSION])
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        _raise_if_not_ours(path, error)
        message = f"the read model can't be made at {path}: {_first_line(error)}; look at free space and permissions"
        raise ReadModelError(message) from error
    return connection


def _connect(path: Path, memory_limit: str, threads: int, *, is_read_only: bool = False) -> Any:
    import duckdb

    connection = duckdb.connect(
        str(path),
        read_only=is_read_only,
        config={
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": f"{path}.spill",
            "max_temp_directory_size": SPILL_MAX,
            "checkpoint_threshold": CHECKPOINT_SIZE,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _version_problem(connection: Any) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'model_version'").fetchone()
    if row is None or row[0] != MODEL_VERSION:
        return f"it is of version {row[0] if row else 'none'}, this is {MODEL_VERSION}"
    return None


def _raise_if_not_ours(path: Path, error: Exception) -> None:
    """Raise for what another file would not cure: another process's lock, permissions, a full disk."""
    text = str(error)
    if "lock" in text and "held" in text:
        message = f"{path} is open in another process: {_first_line(error)}; close it there, or open a snapshot instead"
        raise ReadModelError(message) from error
    codes = (errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE, errno.EIO)
    if any(os.strerror(code) in text for code in codes):
        message = f"the read model at {path} can't be opened: {_first_line(error)}"
        raise ReadModelError(message) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
