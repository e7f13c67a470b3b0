"""A whole workshop in one process: an embedded log, a manager, a reaper and workers whose stages run in children."""

from __future__ import annotations

import socket
import textwrap
import threading
import time

from crucible.blobs import open_blobs
from crucible.definition.load import load_experiment
from crucible.journal import open_journal
from crucible.place import Place
from crucible.processors.manager import Manager
from crucible.processors.reaper import Reaper
from crucible.processors.worker import Worker
from crucible.producers.drain import Drain
from crucible.producers.submit import Sender
from crucible.records import RunFailed, StageFailed
from crucible.rules.blueprint import DefinitionBlueprints
from crucible.tail import Tail

TIMEOUT_S = 20.0


class Workshop:
    """Close it with ``with``: it fails then if a part of it has failed."""

    def __init__(self, folder, zygote, *, lease_ms=15_000, blobs_address=None):
        self.folder = folder
        self.lease_ms = lease_ms
        self.place = Place(folder / ".crucible", blobs_address=blobs_address)
        self.zygote = zygote
        self.journal = open_journal(self.place, actor="test")
        self.blobs = open_blobs(self.place)
        self.drain = Drain(self.journal, self.place)
        self.workers = []
        self._stop = threading.Event()
        self._threads = []
        self._problems = []
        self.manager = Manager(self.journal, blueprints=DefinitionBlueprints(blob_store=self.blobs.identify()))
        self._start("manager", self.manager.run)
        reaper = Reaper(self.journal, self.place, host=socket.gethostname)
        self._start("reaper", reaper.run)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        for worker in self.workers:
            worker.stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        self.drain.close()
        self.journal.close()
        self._raise_problem()

    def _raise_problem(self):
        for problem in self._problems:
            raise problem

    def worker(self, *, blobs=None, **options):
        """A worker with one slot that runs until the end of the test; it has the workshop's blobs unless told."""
        worker = Worker(
            self.journal,
            self.place,
            **{"slots": 1, "queues": ["default"], "lease_ms": self.lease_ms, **options},
            zygote=self.zygote,
            drain=self.drain,
            blobs=self.blobs if blobs is None else blobs,
        )
        self.workers.append(worker)
        worker.stop = threading.Event()
        self._start("worker", lambda stop: worker.run(worker.stop))
        return worker

    def submit(self, source, *, sets=(), is_smoke=False):
        """Submit the experiment that the Python text ``source`` defines; returns its submission id."""
        path = self.folder / "mine.py"
        path.write_text(textwrap.dedent(source))
        loaded = load_experiment(str(path), sets)
        definition = loaded.definition
        fields = {
            "namespace": definition.namespace,
            "experiment": definition.name,
            "definition_json": definition.canonical_json(),
            "definition_digest": definition.definition_digest,
            "recipe_digest": loaded.recipe_digest,
            "code_path": str(loaded.code_path),
            "code_digest": loaded.code_digest,
            "code_blob": None,
            "environment_json": "{}",
            "output_dir": str(self.folder / "out"),
            "is_smoke": is_smoke,
        }
        return Sender(self.journal).submit(fields)

    def wait(self, *types, count=1):
        """The first ``count`` events of these types, once they are there."""
        found = []
        tail = Tail(self.journal, ("events",))
        deadline = time.monotonic() + TIMEOUT_S
        while len(found) < count:
            self._raise_problem()
            assert time.monotonic() < deadline, (
                f"{[type(each).__name__ for each in self.events()]} {[each.statistics() for each in self.workers]}"
            )
            for record in (entry.record for entry in tail.poll(0.2)):
                assert isinstance(record, types) or not isinstance(record, RunFailed), self.events(StageFailed)
                found += [record] if isinstance(record, types) else []
        return found[:count]

    def send(self, command_type, **fields):
        """Send a command and wait for its answer."""
        (answer,) = Sender(self.journal).send(self.journal.make(command_type, **fields))
        return answer

    def pid(self, name):
        """The process that a stage has written into the file ``name``."""
        path = self.folder / f"{name}.pid"
        self.until(lambda: path.exists() and path.read_text())
        return int(path.read_text())

    def until(self, is_so):
        """Wait until ``is_so()``."""
        deadline = time.monotonic() + TIMEOUT_S
        while not is_so():
            self._raise_problem()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def events(self, *types):
        """Every event of these types, all without a type."""
        return [record for record in self._records("events") if not types or isinstance(record, types)]

    def telemetry(self, *types):
        """Every telemetry record of these types."""
        return [record for record in self._records("telemetry") if isinstance(record, types)]

    def _records(self, topic):
        return [entry.record for entry in Tail(self.journal, (topic,)).catch_up()]

    def _start(self, name, run):
        def guarded():
            try:
                run(self._stop if name != "worker" else None)
            except BaseException as error:
                self._problems.append(error)

        thread = threading.Thread(target=guarded, name=name)
        self._threads.append(thread)
        thread.start()
