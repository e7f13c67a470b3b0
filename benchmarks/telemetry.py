"""How many metric points per second go from ``log`` through spool, drain and log into DuckDB.

``python -m benchmarks.telemetry`` lets a stage's process log as fast as it can while its parent drains and projects, as
an engine does, and counts from the first call until the last point can be queried. Beside it, in the same run: JSON
lines synced every 1,000 points, which are durable and nothing more, and rows inserted into SQLite. Exits 6 below
200,000 points/s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from crucible.journal import Journal, open_journal
from crucible.place import Place
from crucible.producers.drain import Drain
from crucible.projections.readmodel import Projector
from crucible.spool.writer import SpoolWriter

POINTS_PER_S_MIN = 200_000
"""The limit."""
EXIT_MISSED = 6
NAMES = ("train/loss", "train/gradient_norm", "train/learning_rate", "train/examples_per_s")
SYNC_POINTS = 1000
"""How many points the others make durable at once."""
CLAIM = "benchmark"
TIMEOUT_S = 600.0


def measured(what: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a call, those of ended child processes included."""

    def cpu_s() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    wall_s, before_s = time.perf_counter(), cpu_s()
    what()
    return time.perf_counter() - wall_s, cpu_s() - before_s


def rows(points: int) -> Iterator[tuple[int, dict[str, float]]]:
    """(step, values) until so many points are reached."""
    for step in range(1, points // len(NAMES) + 1):
        yield step, dict.fromkeys(NAMES, 1.0 / step)


def log_points(place: Place, points: int) -> None:
    """What the stage's process does."""
    writer = SpoolWriter(place.spool / CLAIM, CLAIM, run_id="run", stage="fit", attempt=1)
    for step, values in rows(points):
        writer.log(values, step)
    writer.close()


class Pipeline:
    """A log with its drain, and a stage's process that was forked before either had a thread."""

    def __init__(self, root: Path, points: int, log_address: str | None = None) -> None:
        self.points = points
        self.place = Place(root, log_address)
        self.place.create()
        begin, self._begin = os.pipe()
        self._stage = os.fork()
        if self._stage == 0:
            os.close(self._begin)
            if not os.read(begin, 1):
                os._exit(1)  # the parent is gone
            log_points(self.place, points)
            os._exit(0)
        os.close(begin)
        self.journal: Journal = open_journal(self.place, actor="benchmark")
        self.drain = Drain(self.journal, self.place)

    def to_log(self) -> None:
        """Let the stage log; return once everything is durable on the log."""
        self.drain.attach(self.place.spool / CLAIM, "run", "fit", 1, CLAIM)
        os.write(self._begin, b".")
        os.waitpid(self._stage, 0)
        marks = self.drain.flush(CLAIM, TIMEOUT_S)
        assert marks[f"{CLAIM}.m"] == self.points, marks

    def to_read_model(self) -> None:
        """The same, with a projector at work; return once all points can be queried."""
        stop = threading.Event()
        projector = Projector(self.journal, self.place)
        thread = threading.Thread(target=projector.run, args=(stop,))
        thread.start()
        self.to_log()
        stop.set()
        thread.join()
        projector.catch_up()
        found = projector.cursor().execute("SELECT count(*), max(step) FROM points").fetchone()
        assert found == (self.points, self.points // len(NAMES)), found
        projector.close()

    def close(self) -> None:
        """Give everything back."""
        os.close(self._begin)
        self.drain.close()
        self.journal.close()


def json_lines(path: Path, points: int) -> None:
    """A line of ``json.dumps`` for each point, synced every ``SYNC_POINTS``."""
    with path.open("w") as file:
        written = 0
        for step, values in rows(points):
            for name, value in values.items():
                line = {"run": "run", "name": name, "step": step, "time": time.time(), "value": value}
                file.write(json.dumps(line) + "\n")
                written += 1
            if written % SYNC_POINTS == 0:
                file.flush()
                os.fsync(file.fileno())


def sqlite_rows(path: Path, points: int) -> None:
    """A row for each point, indexed by run and name, committed every ``SYNC_POINTS``."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE points (run TEXT, name TEXT, step INTEGER, time REAL, value REAL)")
    connection.execute("CREATE INDEX by_name ON points (run, name, step)")
    waiting: list[tuple[str, str, int, float, float]] = []
    for step, values in rows(points):
        waiting += [("run", name, step, time.time(), value) for name, value in values.items()]
        if len(waiting) >= SYNC_POINTS:
            with connection:
                connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", waiting)
            waiting.clear()
    with connection:
        connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", waiting)
    connection.close()


def pipeline(root: Path, points: int, *, is_projected: bool, log_address: str | None = None) -> tuple[float, float]:
    """Wall and CPU seconds of our way, without opening and closing; the log in the folder, or at an address."""
    line = Pipeline(root, points, log_address)
    try:
        return measured(line.to_read_model if is_projected else line.to_log)
    finally:
        line.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=2_000_000, help="a multiple of 4,000")
    points = parser.parse_args(arguments).points
    beside = max(points // 10, 4 * SYNC_POINTS)
    with tempfile.TemporaryDirectory(prefix="crucible-benchmark-") as folder:
        root = Path(folder)
        measurements = {
            "spool, drain, log": (points, *pipeline(root / "written", points, is_projected=False)),
            "… and DuckDB": (points, *pipeline(root / "projected", points, is_projected=True)),
            "JSON lines, synced": (beside, *measured(lambda: json_lines(root / "lines.jsonl", beside))),
            "SQLite inserts": (beside, *measured(lambda: sqlite_rows(root / "points.sqlite", beside))),
        }
    print(f"{'':<22}{'points':>12}{'points/s':>12}{'CPU µs/point':>14}")
    for name, (count, wall_s, cpu_s) in measurements.items():
        print(f"{name:<22}{count:>12,}{count / wall_s:>12,.0f}{cpu_s / count * 1e6:>14.2f}")
    count, wall_s, _ = measurements["… and DuckDB"]
    is_met = count / wall_s >= POINTS_PER_S_MIN
    print(f"limit: at least {POINTS_PER_S_MIN:,} points/s into DuckDB: {'met' if is_met else 'missed'}")
    return 0 if is_met else EXIT_MISSED


if __name__ == "__main__":
    sys.exit(main())
