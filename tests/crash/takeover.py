"""Workers are killed with -9, and paused past their lease, while they train; the log must not show it.

``python -m tests.crash.takeover --kills 20 --seed 1`` starts a manager, a reaper and two workers as processes, kills
workers (and stages' processes) at random steps and at each named point of the protocol, at least five times between a
checkpoint's file and its record, and pauses some past their lease at the points before a record. Afterwards every
effective step stands exactly once, points, results, artifacts and checkpoint digests equal those of an undisturbed
run, no claim outlived its worker by more than a lease, a paused worker wrote nothing once its claim had ended, and no
process is left. Exits 5 if not, 1 if a point was never hit.

``--sabotage fencing`` lets workers write without a check of their claim: the test must fail then.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from crucible.definition.load import load_experiment
from crucible.faults import GATE_VARIABLE, JOURNAL_VARIABLE, VARIABLE
from crucible.journal import open_journal
from crucible.place import Place
from crucible.producers.submit import Sender
from crucible.records import WorkerStarted
from crucible.rules.world import World
from crucible.tail import Tail
from tests.crash.takeover_judge import Account, compare, read_account, scratch_left
from tests.crash.takeover_life import Life
from tests.processors.processes import processes_with

STEPS = 60
REPEATS = 4
WORKERS = 2
LEASE_MS = 1_500
STALE_SLACK_S = 1.5
"""How much longer than a lease the end of a claim may take to be written, on a machine that others use."""
AFTER_FILE = "checkpoint:after-file"
POINTS = (
    AFTER_FILE,
    "claim:before-record",
    "claim:after-record",
    "checkpoint:before-file",
    "checkpoint:after-record",
    "resume:after-record",
    "heartbeat:after-record",
    "artifact:after-record",
    "end:before-record",
    "end:after-record",
    "a step (worker)",
    "a step (stage)",
)
PAUSE_POINTS = (AFTER_FILE, "end:before-record", "checkpoint:before-file")
PATIENCE_S = 30.0
"""How long a worker may take to come to the point that it is killed at."""
MARK = "CRUCIBLE_TAKEOVER_MARK"

EXPERIMENT = f"""
import json, os, subprocess, sys, time
import crucible as cr

@cr.stage(metrics={{"loss": cr.metric(unit="nat"), "score": cr.mean_score("test")}}, artifacts=["model"])
def train(run):
    state, start = [0.0] * 8, 0
    if checkpoint := run.resume():
        state, start = json.loads((checkpoint.path / "state.json").read_text()), checkpoint.step
    subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); time.sleep(600)"])
    for step, x in run.steps(range({STEPS}), start=start):
        noise = run.rng("noise", step=step).standard_normal(8)
        state = [0.9 * old + float(new) for old, new in zip(state, noise)]
        run.log({{"loss": sum(state), "x": x}}, step=step)
        run.predict(f"item-{{step}}", split="test", score=state[0])
        time.sleep(0.008)
        if step % 10 == 0:
            with run.checkpoint(step) as folder:
                (folder / "state.json").write_text(json.dumps(state))
                (folder / "more").mkdir()
                (folder / "more" / "step.txt").write_text(str(step))
    run.artifact("model", json.dumps(state).encode(), kind="model")
    return {{"loss": sum(state)}}

experiment = cr.Experiment("takeover", seed=3, repeat={REPEATS},
    stages=[train.with_fields(retry={{"max": 100, "on": ["transient", "exit"]}})])
"""


class Takeover:
    """One log, its engine, its workers and what is done to them."""

    def __init__(self, folder: Path, seed: int, *, is_fencing: bool = True) -> None:
        self.folder = folder
        self.place = Place(folder / ".crucible")
        self.chance = random.Random(seed)
        self.is_fencing = is_fencing
        self.mark = uuid.uuid4().hex
        self.fell: collections.Counter[str] = collections.Counter()
        self.paused = 0
        self.killed_at_us: dict[int, int] = {}
        """When each killed process was killed, by pid."""
        self.lives: list[Life] = []
        self.leaving: list[Life] = []
        self.resting: list[Life] = []
        """Workers that are paused."""
        self.problems: list[str] = []
        folder.mkdir(parents=True)
        (folder / "mine.py").write_text(EXPERIMENT)
        self.journal = open_journal(self.place, actor="test")
        self.tail = Tail(self.journal, ("events",))
        self.world = World()
        self.worker_pids: dict[str, int] = {}
        self.engine = self._start("engine", {})

    def run(self, plans: list[tuple[str, bool]]) -> None:
        """Carry out every plan (point, is it a pause), then let the work come to its end."""
        waiting = list(plans)
        submissions = [self.submit()]
        deadline = time.monotonic() + PATIENCE_S * (len(plans) + 2)
        while waiting or self.resting or any(life.plan for life in self.lives) or not self._is_done(submissions):
            if time.monotonic() > deadline:
                self.problems.append(f"it did not come to an end; still to do: {waiting}")
                return
            self._read()
            self._resume_fenced()
            while len(self.lives) < WORKERS:
                self.lives.append(self._worker(*(waiting.pop(0) if waiting else (None, False))))
            if (waiting or any(life.plan for life in self.lives)) and self._is_done(submissions):
                submissions.append(self.submit())
            for life in list(self.lives):
                self._look(life, waiting)
            if waiting:
                self._let_go()
            time.sleep(0.01)

    def close(self) -> list[int]:
        """Stop everything in order; the processes that are left."""
        for life in [*self.lives, *self.resting]:
            life.process.send_signal(signal.SIGTERM)
            life.resume()
        for life in [*self.lives, *self.resting, *self.leaving]:
            if life.process.wait(60) != 0:
                self.problems.append(f"a worker ended with {life.process.returncode} when it was to drain")
            life.close()
        self.engine.send_signal(signal.SIGTERM)
        self.engine.wait(60)
        self.journal.close()
        until = time.monotonic() + 5
        while (left := processes_with(self.mark, source="environ")) and time.monotonic() < until:
            time.sleep(0.05)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return left

    def submit(self) -> str:
        loaded = load_experiment(str(self.folder / "mine.py"))
        definition = loaded.definition
        return Sender(self.journal).submit(
            {
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
                "is_smoke": False,
            }
        )

    def _is_done(self, submissions: list[str]) -> bool:
        known = [self.world.submission(submission_id) for submission_id in submissions]
        return all(submission is not None and submission.closed is not None for submission in known)

    def _read(self) -> None:
        for entry in self.tail.catch_up():
            if entry.record is not None:
                self.world.apply(entry.record)
            if isinstance(entry.record, WorkerStarted):
                self.worker_pids[entry.record.worker_id] = entry.record.pid

    def _start(self, role: str, environ: dict[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.crash.takeover_host", role, str(self.folder), str(LEASE_MS)]
        command += [] if self.is_fencing else ["--no-fencing"]
        return subprocess.Popen(command, env={**os.environ, MARK: self.mark, **environ}, stdin=subprocess.DEVNULL)

    def _worker(self, plan: str | None, is_pause: bool) -> Life:
        name = uuid.uuid4().hex
        journal, gate = self.folder / f"struck-{name}", self.folder / f"gate-{name}"
        environ = {}
        if plan is not None and ":" in plan:
            visit = self.chance.randint(1, 3) if plan.startswith("checkpoint") else 1
            environ = {VARIABLE: f"{plan}={'hold' if is_pause else 'kill'}@{visit}", JOURNAL_VARIABLE: str(journal)}
        if is_pause:
            os.mkfifo(gate)
            environ[GATE_VARIABLE] = str(gate)
        strike_s = time.monotonic() + self.chance.uniform(0.8, 2.0)
        return Life(self._start("worker", environ), plan, is_pause, journal, gate, time.monotonic(), strike_s)

    def _look(self, life: Life, waiting: list[tuple[str, bool]]) -> None:
        """See whether a worker came to its point, or kill it where none is named."""
        if life.plan == "a step (worker)" and time.monotonic() >= life.strike_s:
            if self._children_of(life):
                self._note_kill(life.process.pid)
                life.process.kill()
        elif life.plan == "a step (stage)" and time.monotonic() >= life.strike_s:
            for pid in self._children_of(life)[:1]:
                os.kill(pid, signal.SIGKILL)
                self.fell[life.plan] += 1
                life.plan = None
        if life.is_pause and life.has_struck():
            self._note_pause(life)
        elif life.process.poll() is not None:
            self._note_end(life)
        elif life.plan is not None and time.monotonic() > life.started_s + PATIENCE_S:
            waiting.append((life.plan, life.is_pause))
            life.plan = None
            life.process.kill()

    def _let_go(self) -> None:
        """Make room for the next plan: a worker that has no plan any more drains."""
        for life in list(self.lives):
            if life.plan is None and time.monotonic() >= life.strike_s:
                life.process.send_signal(signal.SIGTERM)
                self.lives.remove(life)
                self.leaving.append(life)

    def _children_of(self, life: Life) -> list[int]:
        """The processes in which a worker's stage runs: children of its zygote."""
        zygotes = _children(life.process.pid)
        return [child for zygote in zygotes for child in _children(zygote)]

    def _note_kill(self, pid: int) -> None:
        self.killed_at_us.setdefault(pid, time.time_ns() // 1000)

    def _note_end(self, life: Life) -> None:
        self._note_kill(life.process.pid)
        self.lives.remove(life)
        if life.process.returncode != -signal.SIGKILL:
            self.problems.append(f"a worker ended by itself with {life.process.returncode}")
        if life.plan is not None:
            self.fell[life.plan] += 1

    def _note_pause(self, life: Life) -> None:
        """A worker came to the point that it is paused at: another takes its place until its claim has ended."""
        life.pause(self.place.log)
        self.lives.remove(life)
        self.resting.append(life)

    def _resume_fenced(self) -> None:
        """Let paused workers go on whose claim has ended; the world was read after they were stopped."""
        holders = {run.live_claim.worker_id for run in self.world.runs.values() if run.live_claim is not None}
        pids = {self.worker_pids[worker_id] for worker_id in holders}
        for life in [life for life in self.resting if life.process.pid not in pids]:
            self.resting.remove(life)
            life.resume()
            self.paused += 1
            life.plan, life.is_pause, life.strike_s = None, False, time.monotonic() + 1
            self.lives.append(life)

    def stale(self, account: Account) -> list[str]:
        """Claims of killed workers that lived on for more than a lease."""
        limit_us = LEASE_MS * 1000 + STALE_SLACK_S * 1e6
        problems = []
        for expired in account.expired:
            pid = account.worker_pids[account.claims[expired.claim_id].worker_id]
            late_us = expired.occurred_at_us - self.killed_at_us.get(pid, expired.occurred_at_us)
            if late_us > limit_us:
                problems.append(f"claim {expired.claim_id} lived {late_us / 1e6:.1f} s longer than its worker")
        return problems


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def plans_of(kills: int, pauses: int, chance: random.Random) -> list[tuple[str, bool]]:
    """Where each worker is killed or paused, in random order.

    A quarter of the kills fall between a checkpoint's file and its record, at least as many at random steps, and the
    rest at the other points in turn.
    """
    steps = ["a step (worker)", "a step (stage)"]
    others = [*(point for point in POINTS if point != AFTER_FILE), *steps, *steps]
    after_file = max(1, kills // 4)
    plans = [(AFTER_FILE, False)] * after_file
    plans += [(others[number % len(others)], False) for number in range(kills - after_file)]
    plans += [(PAUSE_POINTS[number % len(PAUSE_POINTS)], True) for number in range(pauses)]
    chance.shuffle(plans)
    return sorted(plans, key=lambda plan: plan[0] != "resume:after-record")  # it needs another worker to be killed


def undisturbed(folder: Path) -> Account:
    """What the same experiment gives when nothing happens."""
    calm = Takeover(folder, 0)
    calm.run([])
    assert calm.close() == []
    assert calm.problems == []
    return read_account(calm.place)


def disturbed(
    folder: Path, plans: list[tuple[str, bool]], seed: int, reference: Account, *, is_fencing: bool = True
) -> tuple[Takeover, Account, list[str]]:
    """Carry out plans and judge; returns every problem found."""
    takeover = Takeover(folder, seed, is_fencing=is_fencing)
    try:
        takeover.run(plans)
    finally:
        left = takeover.close()
    account = read_account(takeover.place)
    problems = [*takeover.problems, *compare(account, reference, STEPS), *takeover.stale(account)]
    if left:
        problems.append(f"{len(left)} processes are left: {left}")
    if account.fenced_writes:
        problems.append(f"{account.fenced_writes} records were written by workers whose claim had ended")
    problems += [f"{folder} is left" for folder in scratch_left(takeover.place)]
    return takeover, account, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pauses", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sabotage", choices=["fencing"])
    arguments = parser.parse_args()
    plans = plans_of(arguments.kills, arguments.pauses, random.Random(arguments.seed))
    with tempfile.TemporaryDirectory(prefix="crucible-takeover-") as name:
        reference = undisturbed(Path(name) / "calm")
        takeover, account, problems = disturbed(
            Path(name) / "crash", plans, arguments.seed, reference, is_fencing=arguments.sabotage != "fencing"
        )
    planned = {point for point, is_pause in plans if not is_pause}
    print(f"{sum(takeover.fell.values())} kills, {takeover.paused} pauses past the lease, {len(account.runs)} runs,")
    print(f"{len(account.expired)} claims taken over or given back, {account.superseded_points} points superseded")
    for point in POINTS:
        print(f"{takeover.fell[point]:4d}  {point}")
    for problem in problems:
        print(f"WRONG: {problem}")
    if problems:
        return 5
    missed = sorted(point for point in planned if not takeover.fell[point])
    for point in missed:
        print(f"NEVER HIT: {point}")
    return 1 if missed or takeover.paused < arguments.pauses else 0


if __name__ == "__main__":
    sys.exit(main())
