"""``crucible log archive`` and ``crucible log trim``: what has ended goes to files, and then from the log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crucible.cli.compose import open_reader
from crucible.cli.exits import FINE
from crucible.cli.gc import age_s
from crucible.cli.living import require_log
from crucible.cli.located import located_settings
from crucible.cli.meter import Meter
from crucible.cli.text import plain, say, size_text
from crucible.errors import UsageError
from crucible.plural import plural

if TYPE_CHECKING:
    from crucible.blobs import BlobStore
    from crucible.journal import Journal
    from crucible.moments import Moment
    from crucible.settings import Settings


NOTHING = "there is nothing to archive: nothing has ended"


def archive(*, before: str | None, older_than: str | None, is_trimming: bool) -> int:
    """Archive what has ended; then trim, if asked to."""
    until_us = None if older_than is None else int((time.time() - age_s(older_than)) * 1e6)
    settings = located_settings(needs_log=True)
    require_log(settings)
    moment = _moment(settings, before)
    with _alone(settings), _opened(settings) as (journal, blobs):
        _archive(settings, journal, blobs, moment, until_us)
        if is_trimming:
            _trim(journal, blobs)
    return FINE


def trim() -> int:
    """Trim the log to its archives."""
    settings = located_settings(needs_log=True)
    require_log(settings)
    with _alone(settings), _opened(settings) as (journal, blobs):
        _trim(journal, blobs)
    return FINE


def _moment(settings: Settings, before: str | None) -> Moment | None:
    """The moment that ``--before`` means."""
    if before is None:
        return None
    from crucible.moments import find_moment

    with open_reader(settings) as reader:
        return find_moment(reader, before)


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Nobody else on this host archives or trims meanwhile: it would do the same work again."""
    descriptor = os.open(settings.place.root / "archive.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = "another process archives or trims this log now; wait for it"
            raise UsageError(message) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Journal, BlobStore]]:
    from crucible.blobs import open_blobs
    from crucible.journal import open_journal

    with contextlib.closing(open_journal(settings.place, actor=settings.actor)) as journal:
        yield journal, open_blobs(settings.place)


def _archive(
    settings: Settings,
    journal: Journal,
    blobs: BlobStore,
    moment: Moment | None,
    until_us: int | None,
) -> None:
    from crucible.archive.archiver import Archiver
    from crucible.archive.border import BorderFinder

    archiver = Archiver(journal, blobs, settings.place.scratch)
    before = None
    if moment is not None:
        position = moment.position
        if moment.event_id is not None:
            position = journal.position_here(moment.event_id, position)
        before = position.offsets
    border = BorderFinder(journal, before=before, until_us=until_us).find(archiver.ends)
    meter = Meter("archiving")
    done = archiver.run(border.offsets, meter)
    meter.finish()
    for held in border.held:
        say(plain(str(held)))
    if done.files:
        files = f"{done.files} {plural(done.files, 'file')} ({size_text(done.size_bytes)})"
        say(f"archived {done.values:,} records in {files}; what lies below {done.position} is archived")
    else:
        say(f"there is nothing to archive; what lies below {done.position} is" if done.position.offsets else NOTHING)


def _trim(journal: Journal, blobs: BlobStore) -> None:
    from crucible.archive.trimmer import Trimmer
    from crucible.position import Position

    meter = Meter("comparing the archives with the log")
    done = Trimmer(journal, blobs).run(meter)
    meter.finish()
    if done.values:
        say(f"trimmed {done.values:,} records; the log begins at {Position(done.starts)} now")
    else:
        say("there is nothing to trim; crucible log archive archives what has ended")
