"""10,000 runs at once in virtual time: the real manager, reaper and choice of a stage, with the load of the plan.

``python -m tests.simulation.scale`` plays the whole plan and prints what it came to; the test plays less of it.

What is real: manager, reaper, folds, offers, leases, keys, and how keys fall on partitions. What is simulated: time, the
log (in memory, records as they are), workers (they claim from one shared reading, one in twenty as the preferred one), stages (they
last, beat and end), and telemetry: batches are counted by key and partition and only ``sample_every``-th is appended.
"""

import argparse
import dataclasses
import sys
import time
import zlib
from collections import Counter

from benchmarks import scale_plan as plan
from crucible.log.memory import MemoryLog
from crucible.processors.follower import Follower
from crucible.processors.manager import Manager
from crucible.processors.offers import PREFERENCE_S, Offers
from crucible.processors.reaper import Reaper
from crucible.producers.submit import WHOLE_AND_NEW
from crucible.records import (
    CancelRun,
    MetricBatch,
    StageCanceled,
    StageClaimed,
    StageCompleted,
    StageHeartbeat,
    SubmitExperiment,
    WorkerStarted,
)
from crucible.testing.ports import SeededIds, VirtualClock
from tests.rules.blueprints import PlainBlueprints, definition
from tests.simulation.sim_log import SimJournal

SUBMISSIONS = 10
"""Grids under names of their own that are submitted at once."""
DEAD_EVERY = 50
"""One worker in so many dies in the middle, and its stages are taken over."""
CANCEL_EVERY = 100
"""One run in so many is canceled by its owner."""
PREFERRED_EVERY = 20
"""One worker in so many looks for what is its own; all of them would be 160 processes in one."""
ROUND_S = 1.0
ROUNDS_MAX = 5_000


class PlainLog(MemoryLog):
    """The log in memory, whose reads give all there is: what order can do is tried elsewhere."""

    def __init__(self, partitions, clock):
        super().__init__(partitions, clock=clock)
        self.records = []
        self._random.random = lambda: 1.0
        self._random.randint = lambda _, most: most


@dataclasses.dataclass
class Outcome:
    """What was played, and what it came to."""

    runs: int
    virtual_s: float
    peak: int
    """Stages that were worked on at once when workers began to die."""
    commands: int
    ended: Counter
    events: Counter
    """By partition."""
    batches: Counter
    """Batches of telemetry by partition, most of them counted only."""
    appended_batches: int
    most_per_s: dict
    """Most records that a partition got in one second, by topic."""
    taken_over: int
    claims_lost: int
    """Claims that came second."""
    problems: list

    def share(self, counts, partitions):
        """The fullest partition, in means of all."""
        return max(counts.values()) * partitions / sum(counts.values())


class Scale:
    """One grid after another, all at once."""

    def __init__(self, *, runs=plan.RUNS, stage_s=600.0, stages=2, workers=plan.WORKERS, sample_every=1_000):
        self.runs, self.stage_s = runs, stage_s
        self.sample_every = sample_every
        self.clock = VirtualClock()
        counts = {"commands": plan.COMMANDS_PARTITIONS, "events": plan.EVENTS_PARTITIONS}
        self.log = PlainLog({**counts, "telemetry": plan.TELEMETRY_PARTITIONS}, self.clock)
        self._processes = 0
        self.writer = self._journal("client 0")
        self.managers = [
            Manager(self._journal("manager 0"), blueprints=PlainBlueprints()) for _ in range(plan.MANAGERS)
        ]
        self.reaper = Reaper(self._journal("reaper 0"), None, host=lambda: "nowhere")
        self.follower = Follower(self._journal("worker 0"), ("events",))
        self.offers = Offers(self.clock.monotonic)
        self.stages = [f"stage-{number}" for number in range(stages)]
        self.slots = -(-runs // workers)
        self.workers = {f"worker-{number}": self.slots for number in range(workers)}
        self.dead, self.busy = set(), Counter()
        self.held = {}
        """(worker, where, when it was claimed, beats) by claim."""
        self.commands = []
        self.batches, self.appended = Counter(), 0
        self.most = {}
        self._begun_s = self.clock.monotonic()
        self.peak = 0
        """Stages that were worked on at once when workers began to die."""
        self._owed = 0.0
        self._sequence = Counter()

    def _journal(self, name):
        self._processes += 1
        return SimJournal(self.log, clock=self.clock, ids=SeededIds(self._processes), actor=name)

    def play(self):
        self._begin()
        for _ in range(ROUNDS_MAX):
            before = self._ends()
            self._round()
            self._note_rates(before)
            if self._is_over():
                break
            self.clock.advance(ROUND_S)
        return self._outcome()

    def _begin(self):
        facts = {"host": "there", "pid": 1, "queues": ["default"], "adapters": [], "crucible_version": "0"}
        make = self.writer.make
        started = [make(WorkerStarted, worker_id=each, slots=self.slots, **facts) for each in self.workers]
        self.writer.append_batches([[record] for record in started])
        for number in range(SUBMISSIONS):
            self._command(self._submission(number))

    def _submission(self, number):
        stages = {name: {"retries": 2} for name in self.stages}
        limit = {"max_concurrent": self.runs} if number % 2 else {}
        fields = dict.fromkeys(("code_path", "code_blob"))
        texts = dict.fromkeys(("definition_digest", "recipe_digest", "code_digest", "output_dir"), "")
        return self.writer.make(
            SubmitExperiment,
            submission_id=f"s{number}",
            namespace="default",
            experiment=f"grid-{number}",
            definition_json=definition(runs=self.runs // SUBMISSIONS, stages=stages, **limit),
            environment_json="{}",
            is_smoke=False,
            **fields,
            **texts,
            **WHOLE_AND_NEW,
        )

    def _command(self, command):
        self.commands.append(command)
        self.writer.append(command)

    def _round(self):
        for manager in self.managers:
            manager.tick()
        self.reaper.tick()
        self._read()
        self._claim()
        self._work()
        self._log_points()

    def _read(self):
        touched = {}
        self.follower.catch_up(lambda read: touched.update({read.record.key: None}) if read.void is None else None)
        for key in touched:
            run = self.follower.world.runs.get(key)
            if run is not None:
                self.offers.note(run)
                if run.live_claim is None:
                    self.held.pop(key, None)

    def _claim(self):
        """Some workers take what is theirs at once; when that time has passed the others take what is left, in turn."""
        made, self.busy = [], Counter({worker_id: self.offers.load(worker_id) for worker_id in self.workers})
        alive = [worker_id for worker_id in self.workers if worker_id not in self.dead]
        for worker_id in alive[::PREFERRED_EVERY]:
            made += self._taken(worker_id)
        self.clock.advance(PREFERENCE_S)
        for worker_id in alive:
            made += self._taken(worker_id)
        self.writer.append_batches(made)
        self._read()

    def _taken(self, worker_id):
        taken = []
        while self.busy[worker_id] < self.slots:
            offer = self.offers.take(worker_id, self.follower.world.present)
            if offer is None:
                break
            self.busy[worker_id] += 1
            run_id, stage, attempt = offer.key
            where = {"run_id": run_id, "stage": stage, "attempt": attempt, "claim_id": self.writer.ids.uuid7()}
            self.held[run_id] = [worker_id, where, self.clock.monotonic(), 0]
            claim = {"worker_id": worker_id, "host": "there", "lease_ms": plan.LEASE_MS}
            taken.append([self.writer.make(StageClaimed, **where, **claim)])
        return taken

    def _work(self):
        """Beats and ends that are due."""
        now_s = self.clock.monotonic()
        beat_s = plan.LEASE_MS / 1000 / plan.HEARTBEATS_PER_LEASE
        made = []
        for worker_id, where, claimed_s, beats in list(self.held.values()):
            if worker_id in self.dead:
                continue
            if self.follower.world.runs[where["run_id"]].cancel_reason is not None:
                made.append([self.writer.make(StageCanceled, **where, telemetry_end={})])
            elif now_s - claimed_s >= self.stage_s:
                fields = {"metrics": [], "duration_ms": None, "is_simulated": True, "telemetry_end": {}}
                made.append([self.writer.make(StageCompleted, **where, **fields)])
            elif now_s - claimed_s >= (beats + 1) * beat_s:
                self.held[where["run_id"]][3] += 1
                fields = {"beat": beats + 1, "step": None, "telemetry_end": {}}
                made.append([self.writer.make(StageHeartbeat, **where, **fields)])
        self.writer.append_batches(made)

    def _log_points(self):
        """The plan's points of one second, each worked-on run in its turn; most are counted and not appended."""
        live = [held[1] for held in self.held.values() if held[0] not in self.dead]
        self._owed += plan.points_per_s() * ROUND_S / plan.POINTS_PER_BATCH * len(live) / self.runs
        second, made = Counter(), []
        while self._owed >= 1.0 and live:
            self._owed -= 1.0
            where = live[zlib.crc32(f"{sum(self.batches.values())}".encode()) % len(live)]
            partition = zlib.crc32(where["run_id"].encode()) % plan.TELEMETRY_PARTITIONS
            self.batches[partition] += 1
            second[partition] += 1
            if sum(self.batches.values()) % self.sample_every == 0:
                made.append([self._batch(where)])
        self.writer.append_batches(made)
        self.appended += len(made)
        self._most("telemetry", second)

    def _batch(self, where):
        count = plan.POINTS_PER_BATCH
        first = self._sequence[where["claim_id"]]
        self._sequence[where["claim_id"]] += count
        columns = {
            "name_index": [0] * count,
            "step": list(range(count)),
            "time_us": [0] * count,
            "value": [0.0] * count,
        }
        spool = {"spool_id": f"{where['claim_id']}.m", "first_sequence": first, "names": ["loss"]}
        return self.writer.make(MetricBatch, **where, **spool, **columns)

    def _ends(self):
        return {part: self.log.end("events", part) for part in self.log.partitions("events")}

    def _note_rates(self, before):
        self._most("events", Counter({part: end - before[part] for part, end in self._ends().items()}))
        self._strike()

    def _most(self, topic, counts):
        self.most[topic] = max(self.most.get(topic, 0), max(counts.values(), default=0))

    def _strike(self):
        """Once most runs are worked on, some workers die and some runs are canceled."""
        if self.dead or len(self.held) < self.runs * 0.9:
            return
        self.peak = len(self.held)
        self.dead = {worker_id for number, worker_id in enumerate(self.workers) if number % DEAD_EVERY == 7}
        for number, run_id in enumerate(list(self.held)):
            if number % CANCEL_EVERY == 3 and self.held[run_id][0] not in self.dead:
                self._command(self.writer.make(CancelRun, run_id=run_id, reason="enough"))

    def _is_over(self):
        experiments = self.follower.world.experiments.values()
        closed = [each.closed is not None for state in experiments for each in state.submissions.values()]
        return len(closed) == SUBMISSIONS and all(closed)

    def _outcome(self):
        world = self.follower.world
        partitions = self.log.partitions("events")
        expired = Counter(type(record).__name__ for record in self.log.records)["StageLeaseExpired"]
        claims = sum(len(a.claims) for run in world.runs.values() for stage in run.stages for a in stage.attempts)
        written = sum(isinstance(record, StageClaimed) for record in self.log.records)
        outcome = Outcome(
            runs=self.runs,
            virtual_s=self.clock.monotonic() - self._begun_s,
            peak=self.peak,
            commands=len(self.commands),
            ended=Counter(run.status for run in world.runs.values()),
            events=Counter({part: self.log.end("events", part) for part in partitions}),
            batches=self.batches,
            appended_batches=self.appended,
            most_per_s=self.most,
            taken_over=expired,
            claims_lost=written - claims,
            problems=[],
        )
        outcome.problems += self._problems(outcome)
        return outcome

    def _problems(self, outcome):
        """What must be true of the end, and of the load on the way to it."""
        world = self.follower.world
        yield from (
            f"{command.event_id} was never answered" for command in self.commands if not world.is_answered(command)
        )
        answers = {}
        for record in self.log.records:
            if (command_id := getattr(record, "command_id", None)) is not None:
                answers.setdefault(command_id, set()).add(record.event_id)
        yield from (f"{command_id} has two answers" for command_id, ids in answers.items() if len(ids) > 1)
        if len(world.runs) != self.runs:
            yield f"{len(world.runs)} runs, expected {self.runs}"
        yield from (f"{run.run_id} is {run.status}" for run in world.runs.values() if not run.is_terminal)
        if outcome.peak < 0.9 * self.runs:
            yield f"only {outcome.peak} of {self.runs} runs were worked on at once"
        for topic, counts, partitions in (
            ("events", outcome.events, plan.EVENTS_PARTITIONS),
            ("telemetry", outcome.batches, plan.TELEMETRY_PARTITIONS),
        ):
            if outcome.share(counts, partitions) > plan.SHARE_MAX:
                yield f"a partition of {topic} has {outcome.share(counts, partitions):.1f} times the mean"
        allowed = plan.PARTITION_BATCHES_PER_S * plan.RESERVE
        if outcome.most_per_s["telemetry"] > allowed:
            yield f"a partition of telemetry got {outcome.most_per_s['telemetry']} batches in a second"
        yield from self._projectors(outcome)

    def _projectors(self, outcome):
        """Each projector owns every fourth partition of telemetry, and must take what these hold."""
        for owner in range(plan.PROJECTORS):
            batches = sum(count for part, count in outcome.batches.items() if part % plan.PROJECTORS == owner)
            points_per_s = batches * plan.POINTS_PER_BATCH / outcome.virtual_s
            if points_per_s > plan.PROJECTOR_POINTS_PER_S * plan.RESERVE:
                yield f"projector {owner} would have to take {points_per_s:,.0f} points/s"


def show(outcome):
    """What was played, and which part of it was not real."""
    print(
        "SIMULATED: virtual time, a log in memory, workers that only claim, beat and end; telemetry counted, and a few"
    )
    print(f"batches of it appended ({outcome.appended_batches:,} of {sum(outcome.batches.values()):,}).")
    print(
        f"{outcome.runs:,} runs, {outcome.peak:,} of them worked on at once; {outcome.virtual_s:,.0f} virtual seconds"
    )
    print(f"ended: {dict(outcome.ended)}; commands answered: {outcome.commands:,}")
    print(f"stages taken over: {outcome.taken_over:,}; claims that came second: {outcome.claims_lost:,}")
    events = sum(outcome.events.values())
    print(
        f"events {events:,}; fullest partition {outcome.share(outcome.events, plan.EVENTS_PARTITIONS):.2f} of the mean"
    )
    share = outcome.share(outcome.batches, plan.TELEMETRY_PARTITIONS)
    print(
        f"telemetry: fullest partition {share:.2f} of the mean, {outcome.most_per_s['telemetry']} batches in one second"
    )
    for problem in outcome.problems[:20]:
        print(problem)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.scale", description=__doc__)
    parser.add_argument("--runs", type=int, default=plan.RUNS)
    parser.add_argument("--stage-s", type=float, default=600.0, help="how long a stage takes, in virtual seconds")
    chosen = parser.parse_args()
    began = time.process_time()
    outcome = Scale(runs=chosen.runs, stage_s=chosen.stage_s).play()
    show(outcome)
    print(f"{len(outcome.problems)} problems, {time.process_time() - began:.1f} s of processor time")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
