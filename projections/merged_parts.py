"""The parts of a merged view: copies of read models that each hold a portion of telemetry, found, opened and checked.

Together they have to be the read model of one log: each partition of telemetry in one of them, and in one only.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crucible.errors import UsageError
from crucible.place import SNAPSHOTS
from crucible.plural import plural
from crucible.portion import Portion
from crucible.position import Position
from crucible.projections.database import SPILL_MAX
from crucible.projections.identity import PARTITIONS, TELEMETRY
from crucible.projections.projection import Progress, read_progress
from crucible.projections.snapshot import LATEST
from crucible.projections.tables import MODEL_VERSION

PARTS_MAX = 256
"""Most parts of a merged view."""


class PartsError(UsageError):
    """The parts are not those of one log: what is wrong with them, and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A copy of a read model with a portion of telemetry, attached to a connection."""

    folder: Path
    """Where it comes from."""
    alias: str
    """Its name in SQL."""
    portion: Portion
    partitions: Portion
    """All partitions of telemetry that the log has."""
    log_id: str
    progress: dict[Any, Progress]

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position({key: part.next_offset for key, part in self.progress.items()})

    @property
    def facts(self) -> dict[Any, int]:
        """How far commands and events were read."""
        return {key: part.next_offset for key, part in self.progress.items() if key[0] != "telemetry"}


def newest_copy(folder: Path) -> Path | None:
    """The newest copy of the read model in a folder, or a copy that is named itself; None if there is none."""
    if folder.is_file():
        return folder
    for path in (folder / SNAPSHOTS / LATEST, folder / LATEST):
        try:
            return path.resolve(strict=True)
        except OSError:
            continue
    return None


def connect_merged(memory_limit: str, threads: int, spill: Path) -> Any:
    """A database in memory to which parts can be attached; `lock` it before anyone asks."""
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": str(spill),
            "max_temp_directory_size": SPILL_MAX,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )


def lock(connection: Any) -> None:
    """From now on nothing can be attached or set: decision 22."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def attach_parts(connection: Any, folders: Sequence[Path], log_id: str | None) -> list[Part]:
    """Attach the newest copy of each folder. Raises ``PartsError`` with everything that is wrong with them.

    ``log_id``: the log that they have to be of; None: any, if it is the same.
    """
    problems = []
    if not folders:
        problems.append("there are no parts to merge: start crucible projector --telemetry for each portion")
    if len(folders) > PARTS_MAX:
        problems.append(f"there are {len(folders)} parts; a merged view has {PARTS_MAX} at most")
    parts: list[Part] = []
    for number, folder in enumerate(folders[:PARTS_MAX]):
        try:
            parts.append(_attach(connection, folder, f"part_{number}"))
        except PartsError as error:
            problems.append(str(error))
    problems += _of_one_log(parts, log_id)
    if len(parts) == len(folders):
        problems += _cover(parts)
    if problems:
        raise PartsError("\n".join(problems))
    return parts


def _attach(connection: Any, folder: Path, alias: str) -> Part:
    import duckdb

    path = newest_copy(folder)
    if path is None:
        message = f"{folder}: there is no copy of a read model ({Path(SNAPSHOTS) / LATEST}); is its projector running?"
        raise PartsError(message)
    try:
        quoted = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS {alias} (READ_ONLY)")
        meta = dict(connection.execute(f"SELECT name, value FROM {alias}.main.meta").fetchall())
        if meta.get("model_version") != MODEL_VERSION:
            message = f"{folder}: it is of version {meta.get('model_version', 'none')}, this is {MODEL_VERSION}"
            raise PartsError(message)
        if TELEMETRY not in meta:
            message = f"{folder}: it holds telemetry of all partitions; there is nothing to merge it with"
            raise PartsError(message)
        progress = read_progress(connection, f"{alias}.main.positions")
    except duckdb.Error as error:
        message = f"{folder}: {path.name} can't be read: {str(error).strip().splitlines()[0]}"
        raise PartsError(message) from error
    portion, partitions = (Portion.parse(meta[name], str(folder)) for name in (TELEMETRY, PARTITIONS))
    return Part(folder, alias, portion, partitions, meta.get("log_id", ""), progress)


def _of_one_log(parts: Sequence[Part], log_id: str | None) -> Iterator[str]:
    wanted = log_id or (parts[0].log_id if parts else None)
    for part in parts:
        if part.log_id != wanted:
            yield f"{part.folder}: it is of log {part.log_id}, {'this' if log_id else str(parts[0].folder)} is {wanted}"
    for part in parts[1:]:
        if part.partitions != parts[0].partitions:
            first = f"{parts[0].folder} says {parts[0].partitions}"
            yield f"{part.folder}: it says that telemetry has partitions {part.partitions}, {first}"


def _cover(parts: Sequence[Part]) -> Iterator[str]:
    """Partitions that two parts hold, and those that none does."""
    held = Counter(itertools.chain.from_iterable(part.portion.partitions for part in parts))
    for number in sorted(number for number, count in held.items() if count > 1):
        holders = " and ".join(str(part.folder) for part in parts if number in part.portion)
        yield f"telemetry {number} is held by {holders}; stop all but one of them"
    missing = _missing(parts, held)
    if missing:
        text = Portion.of(missing)
        one, are = plural(len(missing), "partition"), plural(len(missing), "is", "are")
        yield f"{one} {text} of telemetry {are} in none of the parts; start: crucible projector --telemetry {text}"


def _missing(parts: Sequence[Part], held: Iterable[int]) -> list[int]:
    every = set(itertools.chain.from_iterable(part.partitions.partitions for part in parts))
    return sorted(every.difference(held))
