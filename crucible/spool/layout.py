"""What a spool's folder holds, for its writer and its readers.

::

    spool/<claim_id>/          or <claim_id>.<random> for a process that a stage forked
        meta.json              whose telemetry this is; locked by whoever drains
        lock                   locked by the process that writes
        names                  a line of JSON for each metric name; its number is the name's index
        m-00000000.seg …       metric points: mapped files of one size, full of fixed entries
        r-00000000.seg …       everything else: frames, each with length and CRC-32

A folder appears with ``meta.json`` inside and its lock held, because it is made under another name and renamed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import struct
from pathlib import Path
from typing import Literal

from crucible.errors import SpoolError

FORMAT = 1
"""Version of everything on this page."""
SEGMENT_BYTES = 4 * 1024 * 1024
"""Size of a segment of points, and the size above which a segment of frames is followed by the next."""
SPOOL_BYTES_MAX = 1024**3
"""Most bytes in one spool; logging raises above it."""
ENTRY = struct.Struct("<I4xqqdQ")
"""A point: name index, step (0: none), microseconds since the epoch, value, and the commit word: its sequence + 1.

The commit word is written last; a zero there means that the entry is not there yet.
"""
COMMIT = struct.Struct("<Q")
"""The commit word at the end of an entry."""
FRAME = struct.Struct("<IIQB")
"""Head of a frame: length of the body, CRC-32 of the rest of the head and the body, sequence, kind."""
FRAME_TAIL = struct.Struct("<QB")
"""The part of the head that the CRC covers: sequence and kind."""
NAME_BYTES_MAX = 256
"""Longest metric name."""
NAMES_MAX = 100_000
"""Most metric names in one spool."""
META_FILE = "meta.json"
LOCK_FILE = "lock"
NAMES_FILE = "names"
NEW_PREFIX = ".new-"
"""Begins the name of a folder that is being made."""
OLD_PREFIX = ".old-"
"""Begins the name of a folder that is being removed."""

Channel = Literal["m", "r"]
"""Points, or everything else."""


@dataclasses.dataclass(frozen=True, slots=True)
class SpoolMeta:
    """Whose telemetry a spool holds."""

    run_id: str
    stage: str
    attempt: int
    claim_id: str
    pid: int
    segment_bytes: int = SEGMENT_BYTES

    @property
    def entries_per_segment(self) -> int:
        """How many points a segment holds."""
        return self.segment_bytes // ENTRY.size

    def write(self, folder: Path) -> None:
        """Write ``meta.json`` into ``folder``."""
        text = json.dumps({"format": FORMAT, **dataclasses.asdict(self)})
        (folder / META_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> SpoolMeta:
        """What ``write`` wrote. Raises ``SpoolError`` for anything else, ``FileNotFoundError`` without a file."""
        text = (folder / META_FILE).read_text(encoding="utf-8")
        try:
            fields = json.loads(text)
            version = fields.pop("format")
            meta = cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            message = f"{folder / META_FILE} is damaged ({error}); the spool is left where it is"
            raise SpoolError(message) from error
        if version != FORMAT:
            message = (
                f"{folder} has format {version}, this version reads {FORMAT}: drain it with the version that wrote it"
            )
            raise SpoolError(message)
        return meta


def spool_id(folder: Path, channel: Channel) -> str:
    """The id that records carry for a channel of a spool."""
    return f"{folder.name}.{channel}"


def segment_path(folder: Path, channel: Channel, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{channel}-{number:08d}.seg"


def segment_numbers(folder: Path, channel: Channel) -> list[int]:
    """The segments that are there, in order; none if the folder is gone."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(name[2:-4]) for name in names if name.startswith(f"{channel}-") and name.endswith(".seg"))


def used_bytes(folder: Path) -> int:
    """The size of all files in ``folder``; a drain may remove some of them meanwhile."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat().st_size
    return total
