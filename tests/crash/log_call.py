"""Kills a process right after ``log`` has returned, again and again: the last step read is the last step returned.

``python -m tests.crash.log_call --kills 100 --seed 1``

Half of the processes are stages, which their parent drains, half are plain scripts, which drain themselves and leave
the rest to an adopter. Prints where the kills fell and what was lost, torn or doubled; fails (5) if anything was, or if
a point of the protocol was never hit. ``--break buffer`` (points wait in a list) and ``--break repeats`` (points that
were drained twice are not dropped) show that it would notice.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crucible.journal import Journal, open_journal
from crucible.place import Place
from crucible.producers.drain import Drain
from crucible.records.record import Record
from crucible.records.telemetry import MetricBatch
from crucible.spool.layout import ENTRY
from crucible.spool.writer import SpoolWriter

MODES = ("stage", "script")
POINTS = ("mid-segment", "roll-over", "new name", "during drain")
STEPS_MAX = 400_000
"""A process that never comes to its point is killed here, and counts as killed in mid-segment."""
NEW_NAME_EVERY = 97
BUFFERED_POINTS = 10
DRAINS_MAX = 4
ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
EXIT_DAMAGE = 5

Point = tuple[str, int, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One process: what it is, where it is killed, and from which step on."""

    place: str
    page: str
    claim_id: str
    mode: str
    point: str
    first_step: int
    first_drain: int
    segment_bytes: int
    is_buffered: bool


class Page:
    """What a process says in shared memory: it outlives the process."""

    LAYOUT = struct.Struct("<QBBB")

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def report(self, returned_step: int, point: str) -> None:
        struct.pack_into("<QB", self._map, 0, returned_step, POINTS.index(point))

    @property
    def reported(self) -> tuple[int, str]:
        step, point, _, _ = self.LAYOUT.unpack_from(self._map)
        return step, POINTS[point]

    @property
    def is_draining(self) -> bool:
        return self._map[self.LAYOUT.size - 2] == 1

    @is_draining.setter
    def is_draining(self, value: bool) -> None:
        self._map[self.LAYOUT.size - 2] = int(value)

    @property
    def drains(self) -> int:
        """How often telemetry was appended for this process."""
        return self._map[self.LAYOUT.size - 1]

    def count_drain(self) -> None:
        self._map[self.LAYOUT.size - 1] = min(self.drains + 1, 255)

    def clear(self) -> None:
        self._map[: self.LAYOUT.size] = bytes(self.LAYOUT.size)


class WatchedJournal(Journal):
    """A journal that says on a page while it appends telemetry."""

    page: Page | None = None

    def append_batches(self, batches: Sequence[Sequence[Record]]) -> None:
        if self.page is not None and batches:
            self.page.count_drain()
            self.page.is_draining = True
        try:
            super().append_batches(batches)
        finally:
            if self.page is not None:
                self.page.is_draining = False


def watched_journal(place: Place) -> WatchedJournal:
    opened = open_journal(place, actor="crash")
    return WatchedJournal(opened.log, clock=opened.clock, ids=opened.ids, actor="crash")


def values_of(step: int) -> dict[str, float]:
    """What is logged at a step: the reader knows it too."""
    values = {"loss": 1.0 / step}
    if step % 3 == 0:
        values["norm"] = step * 0.5
    if step % NEW_NAME_EVERY == 0:
        values[f"new-{step}"] = float(step)
    return values


# The process that is killed


def live_and_die(plan: Plan) -> None:
    """Log step after step until the point of the plan is reached, and end there, right after the return."""
    place = Place(Path(plan.place))
    page = Page(Path(plan.page))
    writer = SpoolWriter(
        place.spool / plan.claim_id,
        plan.claim_id,
        run_id=f"run-{plan.claim_id}",
        stage="fit",
        attempt=1,
        segment_bytes=plan.segment_bytes,
    )
    if plan.mode == "script":
        journal = watched_journal(place)
        journal.page = page
        Drain(journal, place).attach(writer.folder, f"run-{plan.claim_id}", "fit", 1, plan.claim_id)
    entries = plan.segment_bytes // ENTRY.size
    waiting: list[tuple[dict[str, float], int]] = []
    points = 0
    for step in range(1, STEPS_MAX):
        values = values_of(step)
        before, points = points, points + len(values)
        if plan.is_buffered:
            waiting.append((values, step))
            for kept in waiting if len(waiting) == BUFFERED_POINTS else ():
                writer.log(*kept)
            waiting = waiting[: len(waiting) % BUFFERED_POINTS]
        else:
            writer.log(values, step)
        if step >= plan.first_step and is_reached(plan, page, step, rolled=before // entries != points // entries):
            page.report(step, plan.point)
            os.kill(os.getpid(), signal.SIGKILL)
    page.report(STEPS_MAX - 1, "mid-segment")
    os.kill(os.getpid(), signal.SIGKILL)


def is_reached(plan: Plan, page: Page, step: int, *, rolled: bool) -> bool:
    match plan.point:
        case "mid-segment":
            return not rolled and step % NEW_NAME_EVERY != 0
        case "roll-over":
            return rolled
        case "new name":
            return step % NEW_NAME_EVERY == 0
        case _:
            time.sleep(0.0005)
            return page.is_draining and page.drains >= plan.first_drain


def zygote() -> None:
    """Fork a process for each plan on standard input and answer with a line once it is dead."""
    for line in sys.stdin:
        plan = Plan(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            live_and_die(plan)
        os.waitpid(pid, 0)
        print("dead", flush=True)


# The process that looks


@dataclasses.dataclass(slots=True)
class Result:
    """What came of all kills."""

    hits: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    points: int = 0
    lost: int = 0
    torn: int = 0
    doubled: int = 0
    repeats: int = 0
    """Points that were drained twice and dropped by their sequence."""

    @property
    def missed(self) -> list[str]:
        """Points of the protocol that were never hit."""
        return [point for point in POINTS if not any(self.hits[mode, point] for mode in MODES)]

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.torn or self.doubled or self.missed)


class Checker:
    """Runs plans one after the other and compares what is on the log with what had returned."""

    def __init__(self, root: Path, *, segment_bytes: int, broken: str | None) -> None:
        self._place = Place(root)
        self._place.create()
        self._segment_bytes = segment_bytes
        self._broken = broken
        self._page = Page(root / "page")
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.log_call", "--zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._journal = watched_journal(self._place)
        self._journal.page = self._page
        self._drain = Drain(self._journal, self._place)
        self._offset = 0
        self.result = Result()

    def close(self) -> None:
        self._zygote.communicate()
        self._drain.close()
        self._journal.close()

    def kill(self, number: int, mode: str, point: str, first_step: int, first_drain: int) -> None:
        """One process from its first step to its end, and what remains of it."""
        claim_id = f"claim{number}"
        folder = self._place.spool / claim_id
        plan = Plan(
            place=str(self._place.root),
            page=str(self._place.root / "page"),
            claim_id=claim_id,
            mode=mode,
            point=point,
            first_step=first_step,
            first_drain=first_drain,
            segment_bytes=self._segment_bytes,
            is_buffered=self._broken == "buffer",
        )
        self._page.clear()
        if mode == "stage":
            self._drain.attach(folder, f"run-{claim_id}", "fit", 1, claim_id)
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(dataclasses.asdict(plan)) + "\n")
        self._zygote.stdin.flush()
        assert self._zygote.stdout.readline() == "dead\n"
        returned, hit = self._page.reported
        if mode == "stage":
            self._drain.flush(claim_id, WAIT_S)
            self._drain.detach(claim_id)
        else:
            self._drain.adopt()
            self._drain.flush_all(WAIT_S)
        self._wait_until_gone(folder)
        self.result.hits[mode, hit] += 1
        self._compare(f"{claim_id}.m", returned)

    def _wait_until_gone(self, folder: Path) -> None:
        deadline = time.monotonic() + WAIT_S
        while folder.exists():
            assert time.monotonic() < deadline, f"{folder} was not removed"
            time.sleep(0.005)

    def _compare(self, spool_id: str, returned: int) -> None:
        read = list(self._read(spool_id))
        expected = [(name, step, value) for step in range(1, returned + 1) for name, value in values_of(step).items()]
        self.result.points += len(expected)
        self.result.lost += max(len(expected) - len(read), 0)
        self.result.doubled += max(len(read) - len(expected), 0)
        if self._broken is None:
            self.result.torn += sum(one != other for one, other in zip(read, expected, strict=False))

    def _read(self, spool_id: str) -> Iterator[Point]:
        """The points of a spool that came to the log since the last look, each once."""
        next_sequence = 0
        while entries := self._journal.read("telemetry", 0, self._offset):
            for entry in entries:
                self._offset = entry.stored.offset + 1
                record = entry.record
                if not isinstance(record, MetricBatch) or record.spool_id != spool_id:
                    continue
                repeated = max(min(next_sequence - record.first_sequence, len(record.value)), 0)
                assert record.first_sequence <= next_sequence, "a gap between two batches"
                if self._broken == "repeats":
                    repeated = 0
                self.result.repeats += repeated
                next_sequence = max(next_sequence, record.first_sequence + len(record.value))
                columns = zip(record.name_index, record.step, record.value, strict=True)
                yield from ((record.names[name], step, value) for name, step, value in list(columns)[repeated:])


def run(root: Path, *, kills: int, seed: int, segment_bytes: int, steps: int, broken: str | None = None) -> Result:
    """Kill ``kills`` processes at seeded points."""
    choose = random.Random(seed)
    checker = Checker(root, segment_bytes=segment_bytes, broken=broken)
    try:
        for number in range(kills):
            mode = MODES[number % len(MODES)]
            point = POINTS[number // len(MODES) % len(POINTS)]
            checker.kill(number, mode, point, choose.randrange(1, steps), choose.randrange(1, DRAINS_MAX))
    finally:
        checker.close()
    return checker.result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30_000, help="a process lives for about half as many at least")
    parser.add_argument("--segment-bytes", type=int, default=256 * 1024)
    parser.add_argument("--break", dest="broken", choices=["buffer", "repeats"], default=None)
    parser.add_argument("--zygote", action="store_true", help=argparse.SUPPRESS)
    options: Any = parser.parse_args(arguments)
    if options.zygote:
        zygote()
        return 0
    with tempfile.TemporaryDirectory(prefix="crucible-crash-") as folder:
        result = run(
            Path(folder),
            kills=options.kills,
            seed=options.seed,
            segment_bytes=options.segment_bytes,
            steps=options.steps,
            broken=options.broken,
        )
    print(f"{'kill fell':<16}" + "".join(f"{mode:>10}" for mode in MODES))
    for point in POINTS:
        print(f"{point:<16}" + "".join(f"{result.hits[mode, point]:>10}" for mode in MODES))
    print(f"points logged {result.points}, drained twice and dropped {result.repeats}")
    print(f"lost {result.lost}, torn {result.torn}, doubled {result.doubled}")
    for point in result.missed:
        print(f"never hit: {point}")
    return 0 if result.is_good else EXIT_DAMAGE


if __name__ == "__main__":
    sys.exit(main())
