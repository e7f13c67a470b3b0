"""What an empty durable stage costs: from its request to its completion, and a grid of 1,000 of them.

Beside it, in the same run: a warm ProcessPoolExecutor, where nothing is durable, and DBOS on SQLite (extra ``bench``).
"""

import contextlib
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from crucible.cli.compose import Host
from crucible.cli.run import submission_fields
from crucible.definition.load import load_experiment
from crucible.processors.zygote import Zygote
from crucible.records import StageCompleted, StageRequested, SubmissionClosed
from crucible.settings import load_settings
from crucible.tail import Tail

LATENCY_LIMIT_MS = 5.0
GRID_LIMIT_S = 4.0
CALLS = 300
GRID = 1_000
WARM_UP = 20
TIMEOUT_S = 120.0
POLL_S = 0.1
MISSED = 6
EMPTY = """
import crucible as cr

@cr.stage
def empty(run: cr.Run) -> None:
    return None

one_at_a_time = cr.Experiment("one_at_a_time", stages=[empty], repeat={calls}, max_concurrent=1)
grid = cr.Experiment("grid", stages=[empty], repeat={grid})
"""


def nothing() -> int:
    return 1


def pool() -> tuple[float, float]:
    with ProcessPoolExecutor(2) as executor:
        for _ in range(WARM_UP):
            executor.submit(nothing).result()
        times = []
        for _ in range(GRID):
            began = time.perf_counter()
            executor.submit(nothing).result()
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        for future in [executor.submit(nothing) for _ in range(GRID)]:
            future.result()
        return statistics.median(times) * 1000, time.perf_counter() - began


def dbos() -> tuple[float, float] | None:
    if importlib.util.find_spec("dbos") is None:
        return None
    done = subprocess.run([sys.executable, "-m", "benchmarks.peer_dbos"], capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    return figures["p50_ms"], figures["grid_s"]


class Watcher(threading.Thread):
    """Reads the log as anybody would, and notes when it sees what."""

    def __init__(self, journal) -> None:
        super().__init__(daemon=True)
        ends = {("events", part): journal.log.end("events", part) for part in journal.log.partitions("events")}
        self._tail = Tail(journal, ["events"], ends)
        self.requested: dict[str, float] = {}
        self.took: list[float] = []
        self.closed = threading.Event()

    def run(self) -> None:
        while not self.closed.is_set():
            for entry in self._tail.poll(0.2):
                now = time.perf_counter()
                if isinstance(entry.record, StageRequested):
                    self.requested[entry.record.run_id] = now
                elif isinstance(entry.record, StageCompleted):
                    self.took.append(now - self.requested[entry.record.run_id])
                elif isinstance(entry.record, SubmissionClosed):
                    self.closed.set()


def ours(zygote: Zygote, folder: Path, name: str, calls: int, *, jobs: int) -> list[float]:
    file = folder / "empty.py"
    file.write_text(EMPTY.format(calls=calls, grid=GRID))
    settings = load_settings(start=folder, environ={}, log=str(folder / name), jobs=jobs)
    loaded = load_experiment(f"{file}:{name}")
    with Host(settings, zygote, jobs=jobs) as host:
        host.start_worker()
        watcher = Watcher(host.journal)
        watcher.start()
        host.sender.submit(submission_fields(loaded, str(settings.output_dir), is_smoke=False, environment_json="{}"))
        if not watcher.closed.wait(TIMEOUT_S):
            host.check()
            message = f"{name}: not closed within {TIMEOUT_S} s"
            raise TimeoutError(message)
        return watcher.took


def grid(zygote: Zygote, folder: Path) -> float:
    """Seconds from submitting 1,000 runs to the read model saying that all have ended, as ``crucible run`` asks it."""
    settings = load_settings(start=folder, environ={}, log=str(folder / "grid"), jobs=2)
    loaded = load_experiment(f"{folder / 'empty.py'}:grid")
    with Host(settings, zygote, jobs=2) as host, host.reader() as reader:
        host.start_worker()
        began = time.perf_counter()
        host.sender.submit(submission_fields(loaded, str(settings.output_dir), is_smoke=False, environment_json="{}"))
        while not reader.rows("SELECT 1 FROM submissions WHERE closed_at IS NOT NULL"):
            host.check()
            time.sleep(POLL_S)
        took = time.perf_counter() - began
        (counted,) = reader.rows("SELECT count(*) AS n FROM runs WHERE status = 'completed'")
        assert counted["n"] == GRID
        return took


def main() -> int:
    with contextlib.closing(Zygote.start()) as zygote, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        took = ours(zygote, folder, "one_at_a_time", CALLS, jobs=1)
        grid_s = grid(zygote, folder)
    times = sorted(t * 1000 for t in took[WARM_UP:])
    p50_ms, p99_ms = statistics.median(times), times[int(len(times) * 0.99)]
    rows = [("Crucible, durable", p50_ms, grid_s)]
    rows.append(("ProcessPoolExecutor(2), nothing durable", *pool()))
    peer = dbos()
    if peer is not None:
        rows.append(("DBOS on SQLite", *peer))
    else:
        print("DBOS is not installed: make bench installs it; it was measured at 5.6 ms and 5.5 s")
    print(f"{'':42}{'p50 of one, ms':>16}{f'{GRID:,} of them, s':>18}")
    for title, latency, whole in rows:
        print(f"{title:42}{latency:16.2f}{whole:18.2f}")
    print(
        f"Crucible p99 {p99_ms:.2f} ms over {len(times)}; limits: {LATENCY_LIMIT_MS} ms, {GRID_LIMIT_S} s with two jobs"
    )
    return 0 if p50_ms <= LATENCY_LIMIT_MS and grid_s <= GRID_LIMIT_S else MISSED


if __name__ == "__main__":
    sys.exit(main())
