"""Four processes append, checkpoint, open and close one log, and are killed with -9 while they do.

``python -m tests.crash.append --kills 1000 --seed 1`` kills every second one at a random instant and every other one
while it stands at a named point of the protocol, in turn, so that every point is really hit. Then the log is read and
compared with what each writer was told. Exits 5 if an acknowledged value is lost, one stands twice although its
writer was never told *unknown*, one is out of order, or a batch is torn; 1 if a point was never hit or too little was
acknowledged to mean something.

``--sabotage`` breaks the log on purpose, to show that the check would notice.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
from pathlib import Path

from crucible.log.embedded import EmbeddedLog
from tests.crash.append_check import Findings, check
from tests.crash.append_writer import POINTS, SABOTAGES, THREADS, Board, Told, follow, write_for_ever

WRITERS = 4
KILL_EVERY_S = 0.03
"""Mean time between two kills."""
AIM_PATIENCE_S = 2.0
"""How long a writer may take to come to the point that it is killed at."""
VALUES_PER_KILL = 1000
"""Acknowledged values that a run must have for each kill; the last writers go on until it has."""
LAST_WRITERS_S = 300.0


class Crash:
    """One run: writers that are started again whenever they are killed, and what each was told."""

    def __init__(self, folder: Path, seed: int, sabotage: str | None) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.sabotage = sabotage
        self.board = Board(WRITERS)
        self.pids = [0] * WRITERS
        self.incarnations = [0] * WRITERS
        self.told: dict[tuple[int, int, int], Told] = {}
        self.fell: collections.Counter[str] = collections.Counter()
        self.aimed = 0

    def start(self, writer: int) -> None:
        """Start a writer, as its next incarnation."""
        self.incarnations[writer] += 1
        self.board.reset(writer)
        incarnation, seed = self.incarnations[writer], self.chance.getrandbits(32)
        self.pids[writer] = fork(
            lambda: write_for_ever(self.folder, self.board, writer, incarnation, seed, self.sabotage)
        )

    def kill(self, writer: int, point: str | None) -> None:
        """Kill a writer, at a point if one is named and it gets there; note where it stood and what it was told."""
        if point is not None:
            self.board.aim(writer, point)
            deadline = time.monotonic() + AIM_PATIENCE_S
            while not self.board.is_paused(writer) and time.monotonic() < deadline:
                time.sleep(0.0002)
        is_paused = self.board.is_paused(writer)
        os.kill(self.pids[writer], signal.SIGKILL)
        _, status = os.waitpid(self.pids[writer], 0)
        self.pids[writer] = 0
        if not os.WIFSIGNALED(status):
            message = f"writer {writer} ended by itself (status {status}); its error stands above"
            raise RuntimeError(message)
        # One thread that is paused stands where it was aimed at, wherever the other one is.
        self.fell[point if is_paused and point is not None else self.board.point(writer)] += 1
        self.aimed += is_paused
        for thread in range(THREADS):
            self.told[writer, self.incarnations[writer], thread] = self.board.told(writer, thread)

    def acknowledged(self) -> int:
        living = sum(
            self.board.told(writer, thread).acknowledged for writer in range(WRITERS) for thread in range(THREADS)
        )
        return sum(told.acknowledged for told in self.told.values()) + living

    def run(self, kills: int) -> None:
        """Kill that many writers; the last ones when enough is acknowledged."""
        try:
            for writer in range(WRITERS):
                self.start(writer)
            for number in range(kills - WRITERS):
                time.sleep(self.chance.uniform(0, 2 * KILL_EVERY_S))
                writer = self.chance.randrange(WRITERS)
                self.kill(writer, POINTS[number // 2 % len(POINTS)] if number % 2 else None)
                self.start(writer)
            deadline = time.monotonic() + LAST_WRITERS_S
            while self.acknowledged() < kills * VALUES_PER_KILL and time.monotonic() < deadline:
                time.sleep(0.05)
            for writer in range(WRITERS):
                self.kill(writer, None)
        finally:
            for pid in filter(None, self.pids):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def fork(work: object) -> int:
    """Run a function in a forked child that never comes back here; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)
    return pid


@contextlib.contextmanager
def follower(folder: Path):
    """A process that reads along while writers are killed; gives a function that ends it and tells what it has read."""
    ours, theirs = os.pipe()
    answer, giving = os.pipe()
    pid = fork(lambda: follow(folder, ours, giving))
    os.close(ours)
    os.close(giving)

    def finish() -> tuple[int, int]:
        os.write(theirs, b"x")
        data = os.read(answer, 16)
        if len(data) != 16:
            message = "the process that read along has failed; its error stands above"
            raise RuntimeError(message)
        return struct.unpack("<QQ", data)

    try:
        yield finish
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(theirs)
        os.close(answer)


def crash(folder: Path, kills: int, seed: int, sabotage: str | None = None) -> tuple[Crash, Findings]:
    """A run and what its check found."""
    run = Crash(folder, seed, sabotage)
    with follower(folder) as finish:
        run.run(kills)
        followed = finish()
    log = EmbeddedLog(folder)
    try:
        return run, check(log, run.told, followed)
    finally:
        log.close()


def show(run: Crash, findings: Findings, kills: int, seed: int) -> None:
    print(f"seed {seed}, kills {kills} ({run.aimed} of them while the writer stood at a named point)")
    for name, number in findings.numbers():
        print(f"{name:18} {number:>12,}")
    print("where the kills fell:")
    for point in POINTS:
        print(f"  {point:26} {run.fell[point]:>5} {'#' * min(run.fell[point], 60)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.append")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sabotage", choices=sorted(SABOTAGES))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, findings = crash(Path(folder) / "log", given.kills, given.seed, given.sabotage)
    show(run, findings, given.kills, given.seed)
    if findings.is_damaged:
        return 5
    has_enough = findings.acknowledged >= given.kills * VALUES_PER_KILL
    return 0 if has_enough and all(run.fell[point] for point in POINTS) else 1


if __name__ == "__main__":
    sys.exit(main())
