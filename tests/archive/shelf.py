"""A log in memory with its archives: a history of runs that have ended and of one that goes on."""

from crucible.archive.archived_log import ArchivedLog
from crucible.archive.archiver import Archiver
from crucible.archive.border import BorderFinder
from crucible.archive.trimmer import Trimmer
from crucible.blobs import FolderBlobs
from crucible.journal import Journal
from crucible.log.protocol import TOPICS
from crucible.place import Place
from tests.projections.history import History, memory_journal

RUNS = 4


def no_progress(_done, _total):
    pass


class Shelf:
    """The log of a place, archived and trimmed piece by piece."""

    def __init__(self, folder, partitions=1, seed=0):
        self.place = Place(folder)
        self.place.create()
        self.blobs = FolderBlobs(self.place.blobs)
        self.memory = memory_journal(partitions, seed)
        self.journal = self.opened()
        self.number = 0

    def opened(self):
        """The journal as another process has it that opens the log now."""
        log = ArchivedLog(self.memory.log, self.place)
        return Journal(log, clock=self.memory.clock, ids=self.memory.ids, actor="test")

    def submit(self, runs=RUNS, *, is_open=False):
        """A submission whose runs have ended, but for the last one with ``is_open``."""
        self.number += 1
        name = f"s{self.number}"
        history = History(self.journal, submission=name, experiment=f"digits{self.number}", number=1)
        history.submit(runs)
        for number in range(1, runs + 1):
            run = f"{name}-r{number}"
            if is_open and number == runs:
                history.create(run, cell=number)
                history.start(run)
                history.request(run)
                history.claim(run, f"{run}-c1")
                history.points(run, f"{run}-c1", [1.0])
            else:
                history.whole_run(run, cell=number)
        if not is_open:
            history.close(runs)
        return history

    def border(self, **limits):
        return BorderFinder(self.journal, **limits).find(self.archiver().ends)

    def archiver(self, **options):
        return Archiver(self.opened(), self.blobs, self.place.scratch, **options)

    def archive(self, **options):
        archiver = self.archiver(**options)
        border = BorderFinder(self.journal).find(archiver.ends)
        return archiver.run(border.offsets, no_progress)

    def trim(self):
        return Trimmer(self.opened(), self.blobs).run(no_progress)

    def contents(self, journal=None):
        """Every value of every partition, read from offset 0 on as whoever opens the log now does."""
        log = (journal or self.opened()).log
        found = []
        for topic in TOPICS:
            for partition in log.partitions(topic):
                offset, end = 0, log.end(topic, partition)
                while offset < end:
                    page = log.read(topic, partition, offset)
                    assert page[0].offset == offset
                    found += page
                    offset = page[-1].offset + 1
        return found

    def starts(self):
        log = self.memory.log
        keys = [(topic, partition) for topic in TOPICS for partition in log.partitions(topic)]
        return {key: start for key in keys if (start := log.start(*key))}

    def parts(self):
        """Every file that counts, by partition."""
        index = self.archiver()._index
        return {key: list(archive.parts) for key, archive in index.archives.items()}
