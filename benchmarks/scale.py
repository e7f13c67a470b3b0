"""What 10,000 runs at once and 10⁹ points a day cost here, beside the numbers that docs/scale.md counts with.

``python -m benchmarks.scale`` measures sizes of records, what one projector takes (full and thin batches, heartbeats),
and what manager, reaper and worker pay for each record while a grid of 10, 100 and 1,000 runs goes on, all of them at
once. ``--full`` adds 10,000 runs; ``--kafka`` one partition of a real Kafka. Exits 6 if a number is not met.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import scale_plan as plan
from benchmarks.growth import Growth, heartbeat
from benchmarks.lives import Life, point_batches
from benchmarks.written_logs import Appends, begin_stage, defaults, submission
from crucible.cli.engine import tuned_process
from crucible.journal import Journal, journal_of, open_journal
from crucible.place import Place
from crucible.processors.view import View
from crucible.projections.readmodel import Projector
from crucible.records import MetricBatch, StageHeartbeat
from crucible.records.record import Record

SIZES = (10, 100, 1_000)
MISSED = 6
POINTS = 500_000
THIN_POINTS = 20_000
HEARTBEATS = 5_000
HEARTBEATS_PER_COMMIT = 1_000
FEW_RUNS, MANY_RUNS = 10, 1_000
TRIES = 3
BEATS = 5
KAFKA_BATCHES = 2_000
GROUP = 50
"""Batches that one worker's drain has waiting when it appends."""


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def sizes() -> dict[str, float]:
    """Bytes of the values of real records: a full batch, a thin one, a heartbeat, the mean event of a run."""
    life = Life("0193e4a0-28c7-7bfc-907f-c4cb19fbe18c", 1, 7, has_telemetry=False)
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(opened(Path(folder))) as journal:
        where = {"run_id": life.run_id, "stage": "train", "attempt": 1, "claim_id": journal.ids.uuid7()}

        def size(kind: type[Record], fields: dict[str, Any]) -> int:
            record = journal.make(kind, **{**defaults(kind), **fields})
            return len(journal._batch([record]).values[0].value)  # noqa: SLF001

        kinds = [life.created(), *life.body(journal)]
        others = [size(kind, fields) for kind, fields in kinds if kind is not StageHeartbeat]
        return {
            "full batch": size(MetricBatch, next(point_batches(where, plan.POINTS_PER_BATCH, 1))),
            "thin batch": size(MetricBatch, next(point_batches(where, plan.POINTS_PER_THIN_BATCH, 1))),
            "heartbeat": size(StageHeartbeat, {**where, **heartbeat(where, 7)}),
            "other event": statistics.fmean(others),
        }


def opened(folder: Path) -> Journal:
    return open_journal(Place(folder / ".crucible"), actor="benchmark")


def cut(where: dict[str, Any], points: int, per_batch: int) -> Iterator[dict[str, Any]]:
    """Points as a drain cuts them that finds so many each time."""
    for first in range(0, points, per_batch):
        fields = next(point_batches(where, per_batch, first))
        yield {**fields, "first_sequence": first}


def projected_per_s(per_batch: int, points: int) -> float:
    """Points in a second of processor time that go from the log into the read model."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(opened(Path(folder))) as journal:
        wheres = begun(journal, FEW_RUNS)
        appends = Appends(journal)
        sources = [cut(where, points // len(wheres), per_batch) for where in wheres]
        appends.add((MetricBatch, fields) for fields in itertools.chain.from_iterable(zip(*sources, strict=True)))
        appends.flush()
        return points / projection_s(journal, Path(folder))


def begun(journal: Journal, runs: int) -> list[dict[str, Any]]:
    """Runs with a live claim each."""
    appends = Appends(journal)
    accepted = submission(appends, 1, runs, "artifacts")
    lives = [Life(accepted["submission_id"], 1, index, has_telemetry=True) for index in range(runs)]
    wheres = [begin_stage(appends, life) for life in lives]
    appends.flush()
    return wheres


def projection_s(journal: Journal, folder: Path) -> float:
    place = Place(folder / "model")
    with contextlib.closing(projector_of(journal, place)) as projector:
        began = cpu_s()
        projector.catch_up()
        return cpu_s() - began


def projector_of(journal: Journal, place: Place) -> Projector:
    """One that commits by rows and never because time has passed: a busy machine measures the same."""
    place.create()
    return Projector(journal, place, is_mirroring=False, is_publishing=False, commit_interval_s=3_600)


def projected_heartbeats_per_s(runs: int, count: int) -> float:
    """Heartbeats of so many open runs in a second of processor time, in commits of a thousand."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(opened(Path(folder))) as journal:
        wheres = begun(journal, runs)
        place = Place(Path(folder) / "model")
        with contextlib.closing(projector_of(journal, place)) as projector:
            projector.catch_up()
            took = 0.0
            for first in range(0, count, HEARTBEATS_PER_COMMIT):
                numbers = range(first, first + HEARTBEATS_PER_COMMIT)
                made = [[beat(journal, wheres[number % runs], number // runs + 1)] for number in numbers]
                journal.append_batches(made)
                began = cpu_s()
                projector.catch_up()
                took += cpu_s() - began
    return count / took


def beat(journal: Journal, where: dict[str, Any], number: int) -> Record:
    return journal.make(StageHeartbeat, **{**defaults(StageHeartbeat), **where, **heartbeat(where, number)})


def grown(runs: int, *, max_concurrent: int | None = None) -> dict[str, float]:
    """One grid through its life: microseconds for each record, and what a process pays that comes to it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / ".crucible"
        growth = Growth(root, runs, max_concurrent=max_concurrent)
        growth.begin()
        growth.beat(BEATS)
        growth.rest()
        started = fresh(root)
        listed_s = listing_s(root)
        growth.end()
        growth.close()
        figures = {name: cost.each_us for name, cost in growth.costs.items()}
        cost_s = sum(growth.costs[f"manager {phase}"].cpu_s for phase in ("begin", "between", "end"))
        return {
            "submit to end, manager, per run": cost_s / runs * 1e6,
            "choice of a stage": growth.fleet.choice.each_us,
            **{f"{name} heartbeat": figures[f"{name} beat"] for name in ("manager", "reaper", "worker")},
            **{f"{name} idle tick": figures[f"{name} rest"] for name in ("manager", "reaper", "worker")},
            "start, per event": started["us"],
            "memory, per run, kB": started["bytes"] / runs / 1000,
            "ls, ms": listed_s * 1000,
        }


def listing_s(root: Path) -> float:
    """``crucible ls`` in a fresh process, on a read model that is up to date."""
    command = [sys.executable, "-m", "crucible", "ls"]
    times = []
    for _ in range(TRIES):
        began = time.perf_counter()
        subprocess.run(command, cwd=root.parent, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return min(times)


def fresh(root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", "--start", str(root)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def start(root: Path) -> None:
    """What a worker pays until it has read a log, in this process."""

    class Nobody:
        def run_changed(self, run: object) -> None:
            _ = run

    with tuned_process(), contextlib.closing(open_journal(Place(root), actor="benchmark")) as journal:
        before, began = held_bytes(), time.process_time()
        view = View(journal, Nobody())
        view.advance()
        took_s, events = time.process_time() - began, journal.log.end("events", 0)
        print(json.dumps({"us": took_s / events * 1e6, "bytes": held_bytes() - before}))


def held_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def partition_per_s(per_batch: int, batches: int) -> tuple[float, float]:
    """Batches that one partition of a real Kafka of one node takes in a second, and those of three nodes."""
    from crucible.log.address import KafkaAddress
    from crucible.log.kafka.log import KafkaLog
    from tools.kafka import Cluster

    rates = []
    for nodes in (1, 3):
        with Cluster.start(nodes=nodes) as cluster:
            os.environ["CRUCIBLE_KAFKA_PARTITIONS"] = "1"
            log = KafkaLog(KafkaAddress(tuple(cluster.bootstrap.split(",")), "scale"))
            with contextlib.closing(journal_of(log, actor="benchmark")) as journal:
                where = {"run_id": "run", "stage": "train", "attempt": 1, "claim_id": "claim"}
                made = [
                    [journal.make(MetricBatch, **{**defaults(MetricBatch), **fields})]
                    for fields in cut(where, batches * per_batch, per_batch)
                ]
                journal.append_batches(made[:GROUP])
                began = time.perf_counter()
                for first in range(0, batches, GROUP):
                    journal.append_batches(made[first : first + GROUP])
                rates.append(batches / (time.perf_counter() - began))
    return rates[0], rates[1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="runs at once")
    parser.add_argument("--full", action="store_true", help="10,000 runs as well, and 10,000 under a limit of as many")
    parser.add_argument("--kafka", action="store_true", help="one partition of a real Kafka, of one node and of three")
    parser.add_argument("--skip-rates", action="store_true", help="only how cost grows with runs")
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.start is not None:
        start(options.start)
        return 0
    kept = [] if options.skip_rates else [*measured_rates(options)]
    if options.kafka:
        for title, per_batch in (("full", plan.POINTS_PER_BATCH), ("thin", plan.POINTS_PER_THIN_BATCH)):
            one, three = partition_per_s(per_batch, KAFKA_BATCHES)
            print(f"one partition, {title} batches/s: one node {one:,.0f}, three nodes with three copies {three:,.0f}")
            least = plan.PARTITION_BATCHES_PER_S if title == "full" else plan.PARTITION_THIN_BATCHES_PER_S
            kept.append(is_kept(f"partition, {title} batches/s", three, least))
    with tuned_process():
        columns = {f"{runs:,}": grown(runs) for runs in options.sizes}
        if options.full:
            columns[f"{plan.RUNS:,}"] = grown(plan.RUNS)
            columns[f"{plan.RUNS:,}, limit"] = grown(plan.RUNS, max_concurrent=plan.RUNS)
    print("\nruns at once, processor µs of each:")
    print(f"{'':34}" + "".join(f"{title:>15}" for title in columns))
    for name in next(iter(columns.values())):
        print(f"{name:34}" + "".join(f"{column[name]:>15,.1f}" for column in columns.values()))
    last = list(columns.values())[-1]
    kept.append(is_kept("events read/s", 1e6 / last["worker heartbeat"], plan.READ_EVENTS_PER_S))
    return 0 if all(kept) else MISSED


def measured_rates(options: argparse.Namespace) -> Iterator[bool]:
    """Sizes and what a projector takes, a line for each."""
    for name, size_bytes in sizes().items():
        print(f"{name:34}{size_bytes:>15,.0f} bytes")
    projected_per_s(plan.POINTS_PER_BATCH, FEW_RUNS * plan.POINTS_PER_BATCH)  # what is imported once is not counted
    full = projected_per_s(plan.POINTS_PER_BATCH, options.points)
    thin = projected_per_s(plan.POINTS_PER_THIN_BATCH, THIN_POINTS)
    yield is_kept("projector, points/s, full batches", full, plan.PROJECTOR_POINTS_PER_S)
    yield is_kept("projector, points/s, thin batches", thin, plan.PROJECTOR_THIN_POINTS_PER_S)
    for runs in (FEW_RUNS, MANY_RUNS):
        rate = projected_heartbeats_per_s(runs, HEARTBEATS)
        title = f"projector, heartbeats/s of {runs:,} runs"
        yield is_kept(title, rate, plan.PROJECTOR_HEARTBEATS_PER_S)


def is_kept(title: str, value: float, at_least: float) -> bool:
    is_met = value >= at_least
    print(f"{title:40}{value:>12,.0f}  the plan counts with {at_least:,.0f}: {'met' if is_met else 'missed'}")
    return is_met


if __name__ == "__main__":
    sys.exit(main())
