"""The Model digest under every combination of engine, batch size, restart point and interleaving.

``python -m tests.digests.combinations`` tries all of them, batch sizes {1, 7, 1000, all} × 50 restart points × 20
interleavings × embedded and memory, in processes of their own; ``--sample --seed 1`` tries 60. Each reads the same
records and has to come to the digest that a process of its own has found in one batch and without a restart.

A restart lies between two batches: of large ones there are fewer than 50, and each is tried in a pass of its own. With
small batches a pass takes long: with those of seven records it restarts at five of the 50 points, a tenth of the log
between two of them, and with those of one record at all.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crucible.journal import Journal
from crucible.log.embedded import EmbeddedLog
from crucible.log.prefix import PrefixLog
from crucible.place import Place
from crucible.projections.digests import model_digest
from crucible.projections.judging import judge_by_statistics
from crucible.projections.readmodel import Projector
from crucible.testing.ports import SeededIds
from tests.digests.long_history import PARTITIONS, RECORDS, TOPICS, copied, memory_copy, values
from tests.projections.history import SteppingClock

ENGINES = ("embedded", "memory")
BATCHES = (1, 7, 1_000, 1_000_000)
RESTARTS = 50
INTERLEAVINGS = 20
PASSES = {1: 1, 7: 10}
"""Of batch sizes whose passes restart more than once: how many passes the restart points are shared among."""
CHUNK = 10
"""Combinations that one process tries."""
SAMPLE = {1: 1, 7: 3, 1_000: 28, 1_000_000: 28}
"""Of each batch size, how many combinations a sample has: one of single records takes as long as eight of large ones."""


def combinations():
    """All of them: engine, batch size, restart points of 50, interleaving."""
    return [
        (engine, batch, restarts, seed)
        for engine, batch, seed in itertools.product(ENGINES, BATCHES, range(INTERLEAVINGS))
        for restarts in passes(engine, batch)
    ]


def passes(engine, batch):
    """The restart points of each pass, together all that there are."""
    if batch in PASSES:
        return [list(range(first, RESTARTS, PASSES[batch])) for first in range(PASSES[batch])]
    return [[point] for point in distinct_restarts(engine, batch)]


def distinct_restarts(engine, batch):
    """Restart points that differ when a log is read in batches of this size, at the least that there may be."""
    batches = -(-RECORDS // batch) + len(TOPICS) * (PARTITIONS if engine == "memory" else 1)
    return range(0, RESTARTS, max(1, RESTARTS // batches))


def sample(seed):
    """A seeded choice, of each batch size as ``SAMPLE`` says."""
    rng, found = random.Random(seed), combinations()
    return [each for size, count in SAMPLE.items() for each in rng.sample([c for c in found if c[1] == size], count)]


def interleaved(ends, batch, seed):
    """Positions that lead to ``ends``, each a batch of one partition further than the one before."""
    rng = random.Random(seed)
    at = dict.fromkeys(ends, 0)
    while open_keys := [key for key, end in ends.items() if at[key] < end]:
        key = rng.choice(open_keys)
        at[key] = min(ends[key], at[key] + batch)
        yield dict(at)


def fold(log, folder, batch=1_000_000, restarts=(), seed=0):
    """The Model digest of a log, read in steps, with restarts on the way."""
    ends = {(topic, part): log.end(topic, part) for topic in TOPICS for part in log.partitions(topic)}
    steps = list(interleaved(ends, batch, seed))
    first = next(index for index, step in enumerate(steps) if step.get(("events", 0)))
    restart_at = {first + (len(steps) - first) * each // RESTARTS for each in restarts}
    prefix = PrefixLog(log, steps[first])
    journal = Journal(prefix, clock=SteppingClock(), ids=SeededIds(1), actor="test")
    alone = {"is_mirroring": False, "is_publishing": False, "is_copying_dead": False}
    judge = None if batch == 1 else judge_by_statistics  # verdicts that are given on the way must be those of the end
    options = {**alone, "commit_rows": 1, "threads": 1, "judge": judge}
    projector = Projector(journal, Place(folder), **options)
    for index, step in enumerate(steps[first:], first):
        prefix.extend(step)
        projector.catch_up()
        if index in restart_at:
            projector.close()
            projector = Projector(journal, Place(folder), **options)
    projector.close()
    with contextlib.closing(Projector(journal, Place(folder), **alone)) as judged:
        judged.catch_up()
        cursor = judged.cursor()
        found = model_digest(cursor)
        cursor.close()
    return {name: [table.rows, table.hex] for name, table in found.tables.items()}


def side(chosen, found):
    """The digests of these combinations, made in this process."""
    folder = Path(tempfile.mkdtemp(dir=_fast()))
    try:
        with contextlib.closing(EmbeddedLog(folder / "log")) as log:
            copied(found, log)
            return [
                fold(
                    log if engine == "embedded" else memory_copy(found, interleaving).log,
                    folder / f"model-{number}",
                    batch,
                    restarts,
                    interleaving,
                )
                for number, (engine, batch, restarts, interleaving) in enumerate(chosen)
            ]
    finally:
        shutil.rmtree(folder)


def _fast():
    """Files in memory where the system has that: what is tested is what is in them."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def start(chosen, seed, records):
    """A process that prints the digests of combinations."""
    command = [sys.executable, "-m", "tests.digests.combinations", "--side", json.dumps(chosen)]
    environ = {**os.environ, "PYTHONHASHSEED": str(len(chosen) + seed)}
    arguments = [*command, "--seed", str(seed), "--records", str(records)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environ)


def answer(process):
    text, _ = process.communicate()
    assert process.returncode == 0, f"a side ended with {process.returncode}"
    return json.loads(text)


def compare(chosen, seed, records=RECORDS, jobs=2, say=print):
    """Try combinations, ``jobs`` processes at a time; the ones that came to another digest."""
    (wanted,) = answer(start([("memory", 1_000_000, [], 0)], seed, records))
    slow, fast = ([each for each in chosen if (each[1] == 1) is is_slow] for is_slow in (True, False))
    chunks = [fast[index : index + CHUNK] for index in range(0, len(fast), CHUNK)] + [[each] for each in slow]
    wrong, running, began, done = [], [], time.monotonic(), 0
    while chunks or running:
        while chunks and len(running) < jobs:
            chunk = chunks.pop()
            running.append((chunk, start(chunk, seed, records)))
        chunk, process = running.pop(0)
        for combination, found in zip(chunk, answer(process), strict=True):
            if found != wanted:
                tables = [name for name in wanted if wanted[name] != found.get(name)]
                wrong.append((combination, tables))
                say(f"different: {combination}: {', '.join(tables)}")
        done += len(chunk)
        if done % 200 < CHUNK or chunk[0][1] == 1:
            say(f"{done} of {len(chosen)} combinations, {time.monotonic() - began:.0f} s, {len(wrong)} differ")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", action="store_true", help="60 of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(side(json.loads(options.side), values(options.seed, options.records))))
        return 0
    chosen = sample(options.seed) if options.sample else combinations()
    wrong = compare(chosen, options.seed, options.records, options.jobs)
    print(f"{len(chosen)} combinations, {len(wrong)} differ, seed {options.seed}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
