"""A grid of N runs that all go on at once, on a real embedded log: what each part that reads it pays.

The manager is the real one, with a real definition. The fleet stands for all workers: one view and one set of offers,
as each worker has them, and it claims for every slot. What stages do is left out: they only record heartbeats and ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.lives import CODE, DEFINITION, completed, ends
from benchmarks.written_logs import defaults, submission_fields
from crucible.journal import Journal, open_journal
from crucible.place import Place
from crucible.processors.manager import Manager
from crucible.processors.offers import Offer, Offers
from crucible.processors.reaper import Reaper
from crucible.processors.view import View
from crucible.records import (
    ArtifactSaved,
    StageClaimed,
    StageCompleted,
    StageHeartbeat,
    SubmitExperiment,
    WorkerStarted,
)
from crucible.records.record import Record
from crucible.rules.state import RunState

SLOTS = 8
"""Stages that one worker of the fleet works on at once."""
REPEAT = 10
LEASE_MS = 3_600_000
"""Longer than any benchmark, which shares the machine: no claim ends in silence."""
TICKS_IDLE = 50
TICKS_MAX = 100_000
"""A grid that is not at rest after so many ticks never is."""
EXPERIMENT = "digits_lora"


@dataclasses.dataclass
class Cost:
    """Processor time of one part, and over how many records or calls."""

    cpu_s: float = 0.0
    count: int = 0

    @property
    def each_us(self) -> float:
        """Microseconds each."""
        return self.cpu_s / max(1, self.count) * 1e6

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        began = time.process_time()
        try:
            yield
        finally:
            self.cpu_s += time.process_time() - began


def grid_fields(runs: int, max_concurrent: int | None) -> dict[str, Any]:
    """A submission of so many runs of ``digits_lora``, all of which may go on at once."""
    repeat = min(REPEAT, runs)
    rates = [(number + 1) * 1e-6 for number in range(runs // repeat)]
    definition = {**DEFINITION, "repeat": repeat, "parameters": {"train.learning_rate": rates}}
    if max_concurrent is not None:
        definition["max_concurrent"] = max_concurrent
    return submission_fields(definition, "0193e4a0-28c7-7bfc-907f-c4cb19fbe18c", "artifacts")


def heartbeat(where: dict[str, Any], number: int) -> dict[str, Any]:
    """The fields of a heartbeat that are its own."""
    return {"beat": number, "step": number * 100, "telemetry_end": ends(where, number * 400, 0)}


class Fleet:
    """All workers in one: it sees what each of them sees, and claims for every free slot."""

    def __init__(self, journal: Journal, workers: int) -> None:
        self.journal = journal
        self.offers = Offers(journal.clock.monotonic)
        self.view = View(journal, self)
        self.workers = [journal.ids.uuid7() for _ in range(workers)]
        self.choice = Cost()
        self.claims: dict[str, dict[str, Any]] = {}
        started = {"host": "bench", "pid": 1, "slots": SLOTS, "queues": ["default"], "adapters": ["local"]}
        journal.append_batches(
            [[journal.make(WorkerStarted, worker_id=each, crucible_version="1", **started)] for each in self.workers]
        )

    def run_changed(self, run: RunState) -> None:
        self.offers.note(run)

    def advance(self) -> None:
        self.view.advance()

    def claim(self) -> int:
        """Claim everything that is offered, each stage by the worker whose turn it is."""
        self.advance()
        taken: list[tuple[str, Offer]] = []
        while len(self.offers):
            worker_id = self.workers[(len(self.claims) + len(taken)) % len(self.workers)]
            with self.choice.timed():
                offer = self.offers.take(worker_id, self.view.world.present)
            self.choice.count += 1
            if offer is not None:
                taken.append((worker_id, offer))
        self.journal.append_batches([[self._claim(worker_id, offer)] for worker_id, offer in taken])
        return len(taken)

    def _claim(self, worker_id: str, offer: Offer) -> Record:
        run_id, stage, attempt = offer.key
        where = {"run_id": run_id, "stage": stage, "attempt": attempt, "claim_id": self.journal.ids.uuid7()}
        self.claims[run_id] = where
        return self.journal.make(StageClaimed, **where, worker_id=worker_id, host="bench", lease_ms=LEASE_MS)


class Growth:
    """One grid through its life, with the cost of each part."""

    def __init__(self, root: Path, runs: int, *, max_concurrent: int | None = None) -> None:
        self.runs = runs
        self.place = Place(root)
        self._journals = contextlib.ExitStack()
        writer = self._open()
        self.manager = Manager(self._open())
        self.reaper = Reaper(self._open(), None, host=lambda: "elsewhere")
        self.fleet = Fleet(self._open(), max(1, runs // SLOTS))
        self.costs: dict[str, Cost] = {}
        self._beat = 0
        self._seen: dict[str, int] = {}
        writer.append(
            writer.make(SubmitExperiment, **{**defaults(SubmitExperiment), **grid_fields(runs, max_concurrent)})
        )
        self._writer = writer

    def _open(self) -> Journal:
        return self._journals.enter_context(contextlib.closing(open_journal(self.place, actor="benchmark")))

    def close(self) -> None:
        self._journals.close()

    @property
    def events(self) -> int:
        """How many are on the log."""
        return self._writer.log.end("events", 0)

    def begin(self) -> None:
        """From the submission until every run is worked on."""
        self._drive("begin", lambda: len(self.fleet.claims) < self.runs)

    def beat(self, rounds: int = 1) -> None:
        """Each run is heard of, and every part reads it."""
        for _ in range(rounds):
            self._beat += 1
            self._append(
                StageHeartbeat, lambda where: {"beat": self._beat, "step": 1, "telemetry_end": ends(where, 1, 0)}
            )
            self._tick("beat")

    def rest(self) -> None:
        """Nothing is new."""
        for _ in range(TICKS_IDLE):
            self._tick("rest", count=1)

    def end(self) -> None:
        """Both stages of every run end, and the grid with them."""
        self._finish()
        begun = len(self.fleet.claims)
        self.fleet.claims.clear()
        self._drive("between", lambda: len(self.fleet.claims) < begun)
        self._finish()
        self.fleet.claims.clear()
        experiment = self.manager.world.experiments
        (submission_id,) = experiment[EXPERIMENT].submissions
        self._drive("end", lambda: experiment[EXPERIMENT].submissions[submission_id].closed is None)

    def _finish(self) -> None:
        artifact = {"name": "adapter", "kind": "model", "digest": CODE, "files": [], "metadata_json": "{}"}
        self._append(ArtifactSaved, lambda _: artifact)
        self._append(StageCompleted, lambda where: completed([], ends(where, 1, 0)))

    def _append(self, kind: type[Record], fields: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        made = [
            [self._writer.make(kind, **{**defaults(kind), **where, **fields(where)})]
            for where in self.fleet.claims.values()
        ]
        for first in range(0, len(made), 500):
            self._writer.append_batches(made[first : first + 500])

    def _drive(self, phase: str, is_open: Callable[[], bool]) -> None:
        for _ in range(TICKS_MAX):
            if not is_open():
                return
            self._tick(phase)
            self.fleet.claim()
        raise TimeoutError(f"{self.runs} runs did not get through {phase!r}")

    def _tick(self, phase: str, count: int | None = None) -> None:
        """Every part reads to the end; what it costs goes to ``phase``."""
        log = self._writer.log
        for name, tick in (
            ("manager", self.manager.tick),
            ("reaper", self.reaper.tick),
            ("worker", self.fleet.advance),
        ):
            cost = self.costs.setdefault(f"{name} {phase}", Cost())
            position = self._seen.get(name, 0)
            end = log.end("events", 0)
            with cost.timed():
                tick()
            cost.count += end - position if count is None else count
            self._seen[name] = end
