"""The same system on a real broker: our log beside the bare client, telemetry, and how soon a command is acted on.

``python -m benchmarks.kafka`` starts Apache Kafka with one node. Values of 200 bytes go in batches of 1,000 through
``Log.append`` and back through ``Log.read``, beside aiokafka alone with the same values, headers, batches, compression
and acknowledgements, by turns in one process; once more without headers, to show what these cost. Then telemetry
from ``run.log`` through spool, drain and log into DuckDB, and the time from a command to the start of its stage, beside
the time that one value takes through the bare client: a start is four of these, one after the other.
Exits 6 when a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.rebuild import is_kept
from benchmarks.stages import EMPTY
from benchmarks.telemetry import pipeline
from crucible.cli.run import submission_fields
from crucible.definition.load import load_experiment
from crucible.journal import open_journal
from crucible.log.address import KafkaAddress
from crucible.log.kafka.headers import headers_of
from crucible.log.kafka.log import KafkaLog
from crucible.log.protocol import Batch, Outgoing
from crucible.producers.submit import Sender
from crucible.records.stage_events import StageClaimed
from crucible.settings import load_settings
from crucible.tail import Tail
from tools.kafka import Cluster

SHARE_MIN = 0.7
"""Of the bare client's rate."""
POINTS_PER_S_MIN = 150_000
START_MS_MAX = 25.0
START_HOPS_MAX = 5.0
"""Of the bare client: a start is four appends, one after the other, three of which another process has to read."""
HOPS = 120
HOP_BYTES = 300
VALUE_BYTES = 200
PER_BATCH = 1_000
BATCHES_PER_CALL = 50
COMPRESSION = "zstd"
FETCH_BYTES = 8 * 1024 * 1024
SUBMISSIONS = 60
WARM_UP = 10
TIMEOUT_S = 60.0
MISSED = 6
PARTS = ("rates", "telemetry", "start")

Headers = list[tuple[str, bytes]]


def values(count: int) -> list[Outgoing]:
    """Values of 200 bytes that compress as text does, with ids of their own."""
    chance = random.Random(1)
    now_us = time.time_ns() // 1000
    return [
        Outgoing(
            str(uuid.UUID(int=chance.getrandbits(128))),
            "StageHeartbeat",
            chance.randbytes(VALUE_BYTES // 2).hex().encode(),
            actor="benchmark",
            occurred_at_us=now_us + number,
        )
        for number in range(count)
    ]


def ours(bootstrap: str, name: str, outgoing: Sequence[Outgoing]) -> tuple[float, float]:
    """Seconds to append all, and to read all."""
    with contextlib.closing(KafkaLog(KafkaAddress(tuple(bootstrap.split(",")), name))) as log:
        batches = [
            Batch("telemetry", "key", outgoing[first : first + PER_BATCH])
            for first in range(0, len(outgoing), PER_BATCH)
        ]
        began = time.perf_counter()
        for first in range(0, len(batches), BATCHES_PER_CALL):
            log.append(batches[first : first + BATCHES_PER_CALL])
        appended_s = time.perf_counter() - began
    with contextlib.closing(KafkaLog(KafkaAddress(tuple(bootstrap.split(",")), name))) as log:
        began, read = time.perf_counter(), 0
        while read < len(outgoing):
            read += len(log.read("telemetry", log.home("telemetry", "key"), read))
        return appended_s, time.perf_counter() - began


async def bare(
    bootstrap: str, name: str, outgoing: Sequence[Outgoing], headers: Sequence[Headers]
) -> tuple[float, float]:
    """The same by aiokafka alone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type=COMPRESSION,
        max_batch_size=FETCH_BYTES,
        max_request_size=FETCH_BYTES,
    )
    await producer.start()
    try:
        began = time.perf_counter()
        sent = []
        for first in range(0, len(outgoing), PER_BATCH):
            builder = producer.create_batch()
            for place in range(first, min(first + PER_BATCH, len(outgoing))):
                value = outgoing[place].value
                assert builder.append(key=b"key", value=value, timestamp=None, headers=headers[place]) is not None
            sent.append(await producer.send_batch(builder, name, partition=0))
        await asyncio.gather(*sent)
        appended_s = time.perf_counter() - began
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, max_partition_fetch_bytes=FETCH_BYTES
    )
    await consumer.start()
    try:
        partition = TopicPartition(name, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        began, read = time.perf_counter(), 0
        while read < len(outgoing):
            found = await consumer.getmany(partition, timeout_ms=1000)
            read += sum(len(messages) for messages in found.values())
        return appended_s, time.perf_counter() - began
    finally:
        await consumer.stop()


def race(cluster: Any, count: int, turns: int) -> bool:
    """Ours and the bare client by turns; the best of each counts: noise only ever slows down."""
    outgoing = values(count)
    with_headers = [headers_of("telemetry", each) for each in outgoing]
    without: list[Headers] = [[] for _ in outgoing]
    taken: dict[str, list[tuple[float, float]]] = {"Log": [], "aiokafka": [], "aiokafka, no headers": []}
    for turn in range(turns):
        taken["Log"].append(ours(cluster.bootstrap, f"ours{turn}", outgoing))
        for title, headers in (("aiokafka", with_headers), ("aiokafka, no headers", without)):
            name = f"bare{turn}{len(headers[0])}"
            taken[title].append(asyncio.run(bare(cluster.bootstrap, name, outgoing, headers)))
    best = {title: [min(each) for each in zip(*figures, strict=True)] for title, figures in taken.items()}
    print(f"{count:,} values of {VALUE_BYTES} bytes, batches of {PER_BATCH:,}:")
    print(f"{'':24}{'produced/s':>12}{'consumed/s':>12}")
    for title, (appended_s, read_s) in best.items():
        print(f"{title:24}{count / appended_s:>12,.0f}{count / read_s:>12,.0f}", flush=True)
    produced, consumed = (theirs / its for its, theirs in zip(best["Log"], best["aiokafka"], strict=True))
    kept = is_kept("produced, share of the bare client", produced, at_least=SHARE_MIN)
    return is_kept("consumed, share of the bare client", consumed, at_least=SHARE_MIN) and kept


async def hops(bootstrap: str) -> list[float]:
    """Milliseconds from producing one value to having consumed it, by aiokafka alone in one process."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("hops", 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, compression_type=COMPRESSION
    )
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    partition, took = TopicPartition("hops", 0), []
    await producer.start()
    await consumer.start()
    try:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        for _ in range(HOPS):
            reading = asyncio.ensure_future(consumer.getmany(partition, timeout_ms=int(TIMEOUT_S * 1000)))
            await asyncio.sleep(0.05)  # the broker holds the request by now
            began = time.perf_counter()
            await producer.send_and_wait("hops", random.randbytes(HOP_BYTES), partition=0)
            await reading
            took.append((time.perf_counter() - began) * 1000)
    finally:
        await consumer.stop()
        await producer.stop()
    return took[WARM_UP:]


class Starts(threading.Thread):
    """Reads the log as anybody would, and notes when a claim is seen."""

    def __init__(self, journal: Any) -> None:
        super().__init__(daemon=True)
        ends = {("events", part): journal.log.end("events", part) for part in journal.log.partitions("events")}
        self._tail = Tail(journal, ["events"], ends)
        self.seen = threading.Event()
        self.at = 0.0
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            for entry in self._tail.poll(0.2):
                if isinstance(entry.record, StageClaimed) and not self.seen.is_set():
                    self.at = time.perf_counter()
                    self.seen.set()


def starts(folder: Path, bootstrap: str) -> list[float]:
    """Milliseconds from a command to the claim of its stage, as a follower of the log sees it.

    Manager, worker and who submits are processes of their own, as they are on a broker.
    """
    file = folder / "empty.py"
    file.write_text(EMPTY.format(calls=1, grid=1))
    address = f"kafka://{bootstrap}/starts"
    settings = load_settings(start=folder, environ={}, log=address, jobs=1)
    fields = submission_fields(
        load_experiment(f"{file}:grid"), str(settings.output_dir), is_smoke=False, environment_json="{}"
    )
    with (
        contextlib.closing(open_journal(settings.place, actor="benchmark")) as journal,
        running(folder, address, "manager"),
        running(folder, address, "worker", "-j", "1"),
    ):
        sender, watcher, took = Sender(journal), Starts(journal), []
        watcher.start()
        for _ in range(SUBMISSIONS):
            watcher.seen.clear()
            began = time.perf_counter()
            sender.submit(fields)
            if not watcher.seen.wait(TIMEOUT_S):
                message = f"no stage was claimed within {TIMEOUT_S} s"
                raise TimeoutError(message)
            took.append((watcher.at - began) * 1000)
            time.sleep(0.3)  # the stage ends meanwhile
        watcher.is_over = True
        watcher.join()
    return took[WARM_UP:]


@contextlib.contextmanager
def running(folder: Path, address: str, *arguments: str) -> Iterator[None]:
    """A process of the system, ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "crucible", *arguments],
        cwd=folder,
        env={**os.environ, "CRUCIBLE_LOG": address},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=200_000)
    parser.add_argument("--points", type=int, default=2_000_000, help="a multiple of 4,000")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure only these; without it all")
    options = parser.parse_args(arguments)
    os.environ["CRUCIBLE_KAFKA_PARTITIONS"] = "1"
    kept = []
    with (
        tempfile.TemporaryDirectory(prefix="crucible-benchmark-") as folder,
        Cluster.start(nodes=1) as cluster,
    ):
        if "rates" in options.only:
            kept.append(race(cluster, options.values, options.turns))
        if "telemetry" in options.only:
            wall_s, _ = pipeline(
                Path(folder) / "telemetry",
                options.points,
                is_projected=True,
                log_address=f"kafka://{cluster.bootstrap}/telemetry",
            )
            kept.append(is_kept("telemetry, points/s", options.points / wall_s, at_least=POINTS_PER_S_MIN))
        if "start" in options.only:
            hop_ms = statistics.median(asyncio.run(hops(cluster.bootstrap)))
            took = starts(Path(folder), cluster.bootstrap)
            p50_ms = statistics.median(took)
            print(f"one value through the bare client: p50 {hop_ms:.1f} ms over {HOPS - WARM_UP}")
            print(f"command to stage start: p95 {sorted(took)[int(len(took) * 0.95)]:.1f} ms over {len(took)}")
            kept.append(is_kept("command to stage start, p50 ms", p50_ms, at_most=START_MS_MAX))
            kept.append(is_kept("in hops of the bare client", p50_ms / hop_ms, at_most=START_HOPS_MAX))
    return 0 if all(kept) else MISSED


if __name__ == "__main__":
    sys.exit(main())
