"""What ``crucible doctor`` looks at where a log lies: disk, file system, rights, locks, leftovers, clock.

Nothing is made that was not there, but for a small file, which is removed at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from crucible.cli.checkup import Finding
from crucible.cli.text import duration, size_text
from crucible.errors import CrucibleError, LogCorruptError, UsageError
from crucible.log.filesystem import REFUSED_FILE_SYSTEMS, find_file_system
from crucible.log.protocol import Log
from crucible.place import Place
from crucible.plural import plural
from crucible.ports import SystemClock, SystemIds
from crucible.settings import Settings
from crucible.writers import is_held, living_workers

SPACE_PROBLEM_BYTES: Final = 100 << 20
SPACE_WARNING_BYTES: Final = 1 << 30
FILES_FREE_MIN: Final = 10_000
SYNC_ROUNDS: Final = 5
SYNC_SLOW_S: Final = 0.05
"""A commit waits for one sync; at 50 ms a log takes 20 commits a second."""
CLOCK_APART_S: Final = 5.0
YEAR_MIN: Final = 2024
FLEETING_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})


def broker_findings(settings: Settings) -> Iterator[Finding]:
    """What the brokers of a log on Kafka say; nothing is made there."""
    from crucible.log.opening import open_log
    from crucible.log.protocol import TOPICS

    start = time.perf_counter()
    try:
        with contextlib.closing(open_log(settings.place, may_create=False)) as log:
            opened_ms = (time.perf_counter() - start) * 1000
            counts = {topic: sum(log.end(topic, part) for part in log.partitions(topic)) for topic in TOPICS}
            parts = {topic: len(log.partitions(topic)) for topic in TOPICS}
            unfinished = _unfinished_copy(log)
    except UsageError as error:
        yield Finding("log", "fine", f"{settings.log_text} answers: {error}")
        return
    except CrucibleError as error:
        yield Finding("log", "problem", str(error), "look at CRUCIBLE_LOG, CRUCIBLE_KAFKA_… and the brokers")
        return
    text = ", ".join(f"{count} {topic} in {parts[topic]}" for topic, count in counts.items())
    yield Finding(
        "log", "fine", f"{settings.log_text} opens in {opened_ms:.0f} ms: {text}; topics are as they have to be"
    )
    yield from unfinished


def _unfinished_copy(log: Log) -> Sequence[Finding]:
    """A problem if the log is a copy that is not finished."""
    from crucible.journal import Journal

    try:
        Journal(log, clock=SystemClock(), ids=SystemIds(), actor="doctor").require_whole()
    except UsageError as error:
        return (Finding("copy", "problem", str(error)),)
    return ()


def place_findings(settings: Settings) -> Iterator[Finding]:
    """What is to be said of the place of a log, there or yet to be made."""
    place = settings.place
    folder = _nearest(settings.log)
    yield _file_system(settings.log)
    yield _space(folder)
    yield from _disk(folder)
    yield _blobs(place)
    if not place.log.is_dir():
        yield _no_log(place)
        return
    is_engine_there = is_held(place.engine_lock)
    yield from _log(place)
    yield _engine(place, is_held=is_engine_there)
    yield _workers(place)
    yield from _leftovers(place, is_engine_there=is_engine_there)


def _no_log(place: Place) -> Finding:
    """No log is fine where there never was one."""
    if os.path.lexists(place.log):
        return Finding(
            "log", "problem", f"{place.log} is no folder", "move it away, and bring the log back from a copy"
        )
    left = [path.name for path in (place.blobs, place.read_model) if path.exists()]
    if left:
        text = f"there is none at {place.root}, but {' and '.join(left)} of one"
        return Finding("log", "problem", text, "bring the folder log back from a copy before anything else is run here")
    return Finding("log", "fine", f"there is none at {place.root} yet; crucible run makes one")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _file_system(folder: Path) -> Finding:
    kind = find_file_system(folder)
    if kind in REFUSED_FILE_SYSTEMS:
        advice = "choose a place on a local disk with CRUCIBLE_LOG: locks on this one do not reach other machines"
        return Finding("file system", "problem", f"{kind}, a network file system", advice)
    if kind in FLEETING_FILE_SYSTEMS:
        return Finding("file system", "warning", f"{kind}: gone when the machine stops", "keep a log on a disk")
    return Finding("file system", "fine", kind or "the kernel does not say which")


def _space(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    text = f"{size_text(usage.free)} of {size_text(usage.total)} free"
    facts = os.statvfs(folder)
    if facts.f_files and facts.f_favail < FILES_FREE_MIN:
        return Finding(
            "space", "warning", f"{text}, but only {facts.f_favail} files more", "remove files you don't need"
        )
    advice = "free some space: crucible gc, crucible du, another place with CRUCIBLE_LOG"
    if usage.free < SPACE_PROBLEM_BYTES:
        return Finding("space", "problem", text, advice)
    return (
        Finding("space", "warning", text, advice)
        if usage.free < SPACE_WARNING_BYTES
        else Finding("space", "fine", text)
    )


def _disk(folder: Path) -> Iterator[Finding]:
    """Whether the place can be written, how long a sync takes, and whether its clock is ours."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".crucible-doctor-") as file:
            times = []
            for _ in range(SYNC_ROUNDS):
                start = time.perf_counter()
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - start)
            apart_s = os.fstat(file.fileno()).st_mtime - time.time()
    except OSError as error:
        advice = "make the place writable, free some space, or choose another one with CRUCIBLE_LOG"
        yield Finding("disk", "problem", f"{folder} can't be written: {error.strerror}", advice)
        return
    sync_s = statistics.median(times)
    text = f"a sync of 4 kB takes {sync_s * 1000:.2g} ms"
    if sync_s > SYNC_SLOW_S:
        yield Finding("disk", "warning", text, "each commit of the log waits for one: choose a faster disk")
    else:
        yield Finding("disk", "fine", text)
    yield _clock(apart_s)


def _clock(apart_s: float) -> Finding:
    year = time.gmtime().tm_year
    if year < YEAR_MIN:
        return Finding("clock", "problem", f"it says {year}", "set the clock: times are recorded as they are read")
    if abs(apart_s) > CLOCK_APART_S:
        text = f"the file system's differs from this machine's by {duration(abs(apart_s))}"
        return Finding("clock", "warning", text, "set both; ages of files are told by the file system's clock")
    return Finding("clock", "fine", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _blobs(place: Place) -> Finding:
    """Whether blobs can be written, read and removed where they are kept."""
    if place.blobs_address is None and not place.blobs.is_dir():
        return Finding("blobs", "fine", "they will be kept beside the log")
    from crucible.blobs import open_blobs

    start = time.perf_counter()
    try:
        blobs = open_blobs(place)
        blobs.probe()
        logs = blobs.notes("logs")
    except CrucibleError as error:
        return Finding("blobs", "problem", str(error), "until then no stage can begin or save anything")
    text = f"{blobs.location}: written, read and removed in {duration(time.perf_counter() - start)}"
    if len(logs) > 1:
        advice = "gc and purge leave blobs that another log may name; give each log a prefix of its own"
        return Finding("blobs", "warning", f"{text}; {len(logs)} logs keep theirs there", advice)
    return Finding("blobs", "fine", text)


def _log(place: Place) -> Iterator[Finding]:
    from crucible.log.database import DATABASE_NAME
    from crucible.log.embedded import EmbeddedLog
    from crucible.log.protocol import TOPICS

    if not (place.log / DATABASE_NAME).exists():
        yield Finding("log", "warning", f"{place.log} holds no log", "if there was one, bring it back from a copy")
        return
    try:
        with contextlib.closing(EmbeddedLog(place.log)) as log:
            ends = {topic: log.end(topic, 0) for topic in TOPICS}
            last = log.read("events", 0, ends["events"] - 1, 1) if ends["events"] else []
            unfinished = _unfinished_copy(log)
    except LogCorruptError as error:
        yield Finding("log", "problem", str(error), "crucible log salvage rescues what can be read")
        return
    except CrucibleError as error:
        yield Finding("log", "problem", str(error))
        return
    text = ", ".join(f"{count} {topic}" for topic, count in ends.items())
    yield Finding("log", "fine", f"opens, and ends where it did: {text}; crucible verify reads all of it")
    yield from unfinished
    ahead_s = last[0].appended_at_us / 1e6 - time.time() if last else 0.0
    if ahead_s > CLOCK_APART_S:
        text = f"the newest event was appended {duration(ahead_s)} from now"
        yield Finding(
            "clock of the log", "warning", text, "this machine's clock is behind, or was ahead; order is kept"
        )


def _engine(place: Place, *, is_held: bool) -> Finding:
    if not is_held:
        return Finding("engine", "fine", "none lives; each command does what is needed")
    from crucible.query import QueryClient, local_endpoint

    try:
        with contextlib.closing(QueryClient(local_endpoint(place))) as client:
            return Finding("engine", "fine", f"one lives and answers, at {client.position}")
    except CrucibleError as error:
        advice = "if it is paused, let it go on (kill -CONT); else end it: the next command takes over"
        return Finding("engine", "problem", f"one holds the lock but does not answer: {error}", advice)


def _workers(place: Place) -> Finding:
    found = living_workers(place)
    return Finding("workers", "fine", f"{len(found)} live here" if found else "none lives here")


def _leftovers(place: Place, *, is_engine_there: bool) -> Iterator[Finding]:
    spools = _count(place.spool)
    if spools and not is_engine_there:
        text = f"telemetry of {spools} processes waits for the log"
        yield Finding("spool", "warning", text, "any command that reads puts it there: crucible ls")
    elif spools:
        yield Finding("spool", "fine", f"{spools} in use, or being put on the log")
    else:
        yield Finding("spool", "fine", "empty")
    aside = sorted(path.name for path in place.root.glob(f"{place.read_model.name}.aside*"))
    scratch = 0 if living_workers(place) else _count(place.scratch)
    left = [f"{len(aside)} {plural(len(aside), 'file')} of a read model that was set aside"] * bool(aside)
    left += [f"{scratch} {plural(scratch, 'folder')} of claims"] * bool(scratch)
    if left:
        yield Finding("leftovers", "warning", " and ".join(left), "crucible gc lists what can go")
    else:
        yield Finding("leftovers", "fine", "none")


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0
