"""The processes of the takeover test: an engine, and workers, each started as a program of its own.

``python -m tests.crash.takeover_host engine FOLDER LEASE_MS``
``python -m tests.crash.takeover_host worker FOLDER LEASE_MS [--no-fencing]``
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from pathlib import Path

from crucible.place import Place

SLOTS = 1
ADOPT_EVERY_S = 0.5


def main() -> None:
    role, folder, lease_ms = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if role == "engine":
        engine(Place(folder / ".crucible"), stop)
    else:
        worker(Place(folder / ".crucible"), lease_ms, stop, is_fencing="--no-fencing" not in sys.argv)


def engine(place: Place, stop: threading.Event) -> None:
    """Manager, reaper, and a drain that adopts what killed workers have left."""
    from crucible.journal import open_journal
    from crucible.processors.manager import Manager
    from crucible.processors.reaper import Reaper
    from crucible.producers.drain import Drain

    journal = open_journal(place, actor="engine")
    drain = Drain(journal, place)
    parts = [Manager(journal).run, Reaper(journal, place, host=socket.gethostname).run]
    threads = [threading.Thread(target=part, args=(stop,)) for part in parts]
    for thread in threads:
        thread.start()
    while not stop.wait(ADOPT_EVERY_S):
        drain.adopt()
    for thread in threads:
        thread.join()
    drain.adopt()
    drain.flush_all(30)
    drain.close()
    journal.close()


def worker(place: Place, lease_ms: int, stop: threading.Event, *, is_fencing: bool) -> None:
    """A worker with its zygote, forked before there is a thread."""
    from crucible.processors.zygote import Zygote

    zygote = Zygote.start()
    from crucible.blobs import FolderBlobs
    from crucible.journal import open_journal
    from crucible.processors.worker import Worker
    from crucible.producers.drain import Drain

    journal = open_journal(place, actor="worker")
    drain = Drain(journal, place)
    Worker(
        journal,
        place,
        slots=SLOTS,
        queues=["default"],
        zygote=zygote,
        drain=drain,
        blobs=FolderBlobs(place.blobs),
        lease_ms=lease_ms,
        is_fencing=is_fencing,
    ).run(stop)
    drain.close()
    journal.close()
    zygote.close()


if __name__ == "__main__":
    main()
