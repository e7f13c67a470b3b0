"""Flips single bits in the files of a log and sees whether it is noticed.

``python -m tests.log.flips --trials 20000 --seed 1`` runs more of them than the tests do; it exits 5 if damage went
unnoticed, or a rescue lost more than the batch that was hit.
"""

from __future__ import annotations

import argparse
import collections
import random
import shutil
import sys
import tempfile
from pathlib import Path

import apsw

from crucible.errors import LogError
from crucible.log.database import DATABASE_NAME, WAL_NAME
from crucible.log.embedded import EmbeddedLog
from crucible.log.protocol import TOPICS, Batch, Outgoing
from crucible.log.salvage import salvage

FILES = (WAL_NAME, DATABASE_NAME)
CHECKPOINTS_AFTER = (0.5, 0.0, 1.0)
Content = dict[str, list[tuple[int, str, bytes]]]


def prepare(folder: Path, seed: int, batches: int = 150, checkpoint_after: float = 0.5) -> Content:
    """A log with small and large batches.

    After ``checkpoint_after`` of them the write-ahead log is checkpointed, so that those stand in the database and the
    others only in the write-ahead log; 1.0 leaves all of them in both.
    """
    chance = random.Random(seed)
    log = EmbeddedLog(folder)
    for number in range(batches):
        size = chance.choice((0, 20, 300, 300, 300, 2000, 9000, 60_000))
        values = [Outgoing("id", "T", chance.randbytes(size)) for _ in range(chance.choice((1, 1, 3)))]
        log.append([Batch(chance.choice(TOPICS), f"key-{number % 7}", values)])
        if number == round(batches * checkpoint_after) - 1:
            connection = apsw.Connection(str(folder / DATABASE_NAME))
            connection.pragma("user_version")  # a connection that has not read yet would check nothing in
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            connection.close()
    content = read_all(log)
    log.close()
    return content


def read_all(log: EmbeddedLog) -> Content:
    content: Content = {}
    for topic in TOPICS:
        stored, offset, end = [], 0, log.end(topic, 0)
        while offset < end:
            page = log.read(topic, 0, offset)
            stored += [(each.offset, each.key, each.value) for each in page]
            offset += len(page)
        content[topic] = stored
    return content


def used_bytes(path: Path) -> int:
    """Size of a file without the zeros that it was filled up with."""
    return len(path.read_bytes().rstrip(b"\0"))


def flip(path: Path, at_bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at_bit // 8)
        (byte,) = file.read(1)
        file.seek(at_bit // 8)
        file.write(bytes([byte ^ 1 << at_bit % 8]))


def outcome(folder: Path, content: Content) -> str:
    """``whole``: all reads are right; ``noticed``: an error is raised; ``unnoticed``: neither."""
    log = None
    try:
        log = EmbeddedLog(folder)
        return "whole" if read_all(log) == content else "unnoticed"
    except LogError:
        return "noticed"
    finally:
        if log is not None:
            log.close()


def rescue_fault(folder: Path, target: Path, content: Content) -> str | None:
    """What is wrong with a rescue after one flipped bit; None: nothing."""
    report = salvage(folder, target)
    lost = {(each.topic, offset) for each in report.lost for offset in range(each.first, each.last + 1)}
    log = EmbeddedLog(target)
    try:
        rescued = read_all(log)
    finally:
        log.close()
    for topic in TOPICS:
        expected = [(key, value) for offset, key, value in content[topic] if (topic, offset) not in lost]
        if [(key, value) for _, key, value in rescued[topic]] != expected:
            return f"{topic}: what was rescued and what was lost is not what was there"
    if len(lost) > 3:
        return f"one bit cost {len(lost)} values"
    return None


def trial(
    original: Path, content: Content, chance: random.Random, folder: Path, *, with_rescue: bool
) -> tuple[str, str]:
    """Flip one bit in a copy; the file that was hit, and the outcome."""
    shutil.copytree(original, folder / "copy")
    name = chance.choice(FILES)
    at_bit = chance.randrange(8 * used_bytes(folder / "copy" / name))
    flip(folder / "copy" / name, at_bit)
    result = outcome(folder / "copy", content)
    if with_rescue:
        fault = rescue_fault(folder / "copy", folder / "target", content)
        if fault is not None:
            result = f"bad rescue (bit {at_bit}: {fault})"
        shutil.rmtree(folder / "target")
    shutil.rmtree(folder / "copy")
    return name, result


def run(trials: int, seed: int, *, with_rescue: bool) -> collections.Counter[tuple[str, str]]:
    """Outcomes of many trials, by file."""
    chance = random.Random(seed)
    outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        originals = [Path(folder) / f"log-{share}" for share in CHECKPOINTS_AFTER]
        contents = [
            prepare(path, seed, checkpoint_after=share)
            for path, share in zip(originals, CHECKPOINTS_AFTER, strict=True)
        ]
        for number in range(trials):
            original, content = originals[number % 3], contents[number % 3]
            outcomes[trial(original, content, chance, Path(folder), with_rescue=with_rescue)] += 1
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.log.flips")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-rescue", action="store_true")
    given = parser.parse_args()
    outcomes = run(given.trials, given.seed, with_rescue=not given.without_rescue)
    for (name, result), count in sorted(outcomes.items()):
        print(f"{name:12} {result:12} {count:7,}")
    return 5 if any(result not in ("whole", "noticed") for _, result in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
