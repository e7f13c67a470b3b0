"""One seed, one history: clients, managers, reapers and workers on a log under faults, in virtual time."""

import dataclasses
import heapq
import json
import random
import zlib
from collections import Counter

from crucible.errors import LogError
from crucible.processors.manager import Manager
from crucible.processors.reaper import Reaper
from crucible.producers.submit import WHOLE_AND_NEW
from crucible.records import AddNote, CancelRun, CancelSubmission, ChangeBudget, RetryRun, SubmitExperiment
from crucible.testing.ports import SeededIds
from tests.rules.blueprints import PlainBlueprints, definition
from tests.simulation.faults import Faults, KilledError, SuspendedError
from tests.simulation.judge import Judge
from tests.simulation.sim_log import SimJournal, SimLog
from tests.simulation.timeline import SKEW_MAX_US, ProcessClock, Timeline
from tests.simulation.worker import ModelWorker, result_after

STEPS = {"fit": 7, "score": 2, "warm": 2, "compare": 3}
FAULTS_END_S = 120.0
"""Nothing more goes wrong after this, and everything has to come to its end."""
END_S = 900.0
"""A history that is not at rest by then never is."""
STEPS_MAX = 60_000
PARTITIONS = {"commands": 1, "events": 2}
REUSING = frozenset({1, 3})
"""Seeds with one of these remainders by seven reuse finished stages; the others' histories are what they always were."""
MANAGERS, REAPERS, WORKERS = 2, 2, 3
REBIRTH_S = (0.2, 20.0)
REAP_S = 0.9
LIMITED_EVERY = 6
"""One seed in so many has a budget or a breaker; those that once found a deadlock are none of them."""
LIMITS = (
    {"budget": {"runs": 2}},
    {"budget": {"time_s": 15.0, "runs": 1}},
    {"budget": {"cost": {"metric": "cost/usd", "max": 3.0}}},
    {"breaker": {"window": 3, "failure_rate": 0.3, "min_runs": 1}},
    {"breaker": {"window": 2, "failure_rate": 0.0, "min_runs": 1}, "budget": {"time_s": 25.0}},
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a seed came to."""

    seed: int
    trace: str
    problems: tuple
    faults: Counter
    voids: Counter
    stops: Counter
    """Budgets that were found spent, by kind, and breakers that opened."""
    seconds: float
    """Virtual."""
    reused: int
    """Stages that another run's result stands for."""


class Actor:
    """A place for a process: when one is killed, another one is started there."""

    def __init__(self, simulation, role, number):
        self.name = f"{role} {number}"
        self.role = role
        self._simulation = simulation
        self._lives = 0
        self._held = None
        self.journal = None
        self.is_idle = False
        self.wake = 0
        """Which of the times in the schedule is the valid one."""
        self.start()

    def start(self):
        self._lives += 1
        self._held = None
        simulation = self._simulation
        chance = simulation.chance
        number = zlib.crc32(f"{simulation.seed} {self.name} {self._lives}".encode())
        self.clock = ProcessClock(simulation.timeline, chance.randint(-SKEW_MAX_US, SKEW_MAX_US))
        faults = None if self.role in {"worker", "client"} else simulation.faults
        self.journal = SimJournal(
            simulation.log, clock=self.clock, ids=SeededIds(number), actor=self.name, faults=faults
        )
        self._process = getattr(self, f"_start_{self.role}")()

    def step(self):
        """Let the process do something; seconds until it wants to go on."""
        self.is_idle = False
        try:
            if self._held is not None:
                held, self._held = self._held, None
                self._write(held)
                delay_s = 0.01
            else:
                delay_s = self._process()
        except SuspendedError as suspended:
            self._held = suspended.batches
            return suspended.seconds
        except KilledError:
            self.start()
            return self._simulation.chance.uniform(*REBIRTH_S)
        return delay_s + self.clock.settle()

    def _write(self, batches):
        """The process goes on in the middle of an append: what it decided before its pause is written now."""
        try:
            self.journal.send(batches)
        except LogError:
            self.start()

    def _start_manager(self):
        manager = self.manager = Manager(self.journal, blueprints=PlainBlueprints(), has_blobs=lambda _: True)

        def tick():
            try:
                manager.tick()
            except LogError:
                return 0.5
            self.is_idle = not manager.has_work
            return max(0.01, manager.wait_s(5.0))

        return tick

    def _start_reaper(self):
        reaper = Reaper(self.journal, None, host=lambda: "nowhere")

        def tick():
            try:
                reaper.tick()
            except LogError:
                return 0.5
            return REAP_S

        return tick

    def _start_worker(self):
        simulation = self._simulation
        worker = ModelWorker(
            self.journal,
            simulation.faults,
            simulation.chance,
            name=self.name,
            steps=STEPS,
            blobs=simulation.blobs,
            points=simulation.points,
        )
        life = worker.life()

        def step():
            delay_s = next(life)
            self.is_idle = worker.is_idle
            return delay_s

        return step

    def _start_client(self):
        return self._simulation.client(self.journal).__next__


class Simulation:
    """All actors on one timeline."""

    def __init__(self, seed, *, has_around, is_limited):
        self.seed = seed
        self.limits_chance = random.Random(f"{seed} limits")
        self.limits = self.limits_chance.choice(LIMITS) if is_limited else {}
        chance = random.Random(f"around {seed}")
        warm, compare = has_around and chance.random() < 0.3, has_around and chance.random() < 0.6
        self.around = {"before": ["warm"] * warm, "after": ["compare"] * compare}
        """Stages that are done once, before the grid and after it."""
        self.chance = random.Random(seed)
        self.timeline = Timeline()
        self.judge = Judge()
        self.faults = Faults(self.chance)
        self.log = SimLog(PARTITIONS, seed, ProcessClock(self.timeline, 0), self.judge)
        self.blobs, self.points, self.commands = {}, [], []
        self.capacity = self.judge.capacity = self.chance.choice([None, 1, 1, 2])
        self._schedule = []
        self._count = 0
        self._outages = self._choose_outages()
        """When the log does not answer."""
        roles = (("manager", MANAGERS), ("reaper", REAPERS), ("worker", WORKERS), ("client", 1))
        self.actors = [Actor(self, role, number) for role, count in roles for number in range(count)]
        for actor in self.actors:
            self._plan(actor, self.chance.uniform(0, 2))

    def run(self):
        """Until everything is at rest, or nothing ever will be."""
        for _ in range(STEPS_MAX):
            at_s, _, actor, wake = heapq.heappop(self._schedule)
            if wake != actor.wake:
                continue
            self.timeline.now_s = max(at_s, self.timeline.now_s)
            self._suffer()
            if self._is_over():
                break
            version = self.log.version
            delay_s = actor.step()
            self.log.trace.update(f"{self.timeline.now_s:.6f} {actor.name}\n".encode())
            self._plan(actor, delay_s)
            if self.log.version != version:
                self._wake_idle(actor)
        return self._outcome()

    def _is_over(self):
        if self.timeline.now_s > END_S:
            return True
        if self.faults.is_on or not self.judge.is_at_rest:
            return False
        return all(self.judge.world.is_answered(command) for command in self.commands)

    def _plan(self, actor, delay_s):
        self._count += 1
        actor.wake = self._count
        heapq.heappush(self._schedule, (self.timeline.now_s + delay_s, self._count, actor, self._count))

    def _wake_idle(self, writer):
        for actor in self.actors:
            if actor.is_idle and actor is not writer:
                actor.is_idle = False
                late = self.chance.random() < 0.1
                self._plan(actor, self.chance.uniform(0.0, 3.0 if late else 0.05))

    def _choose_outages(self):
        if self.chance.random() < 0.6:
            return []
        start_s = self.chance.uniform(5, FAULTS_END_S - 45)
        return [(start_s, start_s + self.chance.uniform(3, 40))]

    def _suffer(self):
        """What happens to the log, and to processes that do nothing at the moment."""
        now_s = self.timeline.now_s
        if self.faults.is_on and now_s > FAULTS_END_S:
            self.faults.is_on = False
            self.log.is_down = False
            self.log.deliver_late()
        if not self.faults.is_on:
            return
        is_down = any(start_s <= now_s < end_s for start_s, end_s in self._outages)
        if is_down and not self.log.is_down:
            self.faults.counts["outage", "anywhere"] += 1
        self.log.is_down = is_down
        if not is_down and self.chance.random() < 0.03:
            self.log.deliver_late(self.chance.randint(1, 3))
        if self.chance.random() < 0.004:
            self._strike_anywhere()

    def _strike_anywhere(self):
        actor = self.chance.choice([actor for actor in self.actors if actor.role != "client"])
        actor.is_idle = False
        if self.chance.random() < 0.5:
            self.faults.counts["kill after", "anywhere"] += 1
            actor.start()
            self._plan(actor, self.chance.uniform(*REBIRTH_S))
        else:
            self.faults.counts["pause", "anywhere"] += 1
            self._plan(actor, self.chance.uniform(5.0, 45.0))

    def client(self, journal):
        """Submits one or two grids and changes its mind now and then."""
        chance = self.chance
        for number in range(chance.choice([1, 1, 2])):
            yield from self._ask(journal, self._submission(journal, f"s{number}"))
            yield chance.uniform(0, 10)
        for _ in range(chance.randint(0, 5)):
            yield chance.uniform(1, 30)
            yield from self._ask(journal, self._whim(journal))
            if self.limits and self.limits_chance.random() < 0.5:
                yield from self._ask(journal, self._more(journal))
        while True:
            yield END_S

    def _more(self, journal):
        """A larger budget, of a kind that may not be there."""
        kind = self.limits_chance.choice(["runs", "cost", "time_s"])
        text = json.dumps({kind: self.limits_chance.choice([3, 5, 40])})
        return journal.make(ChangeBudget, submission_id="s0", experiment="mine", budget_json=text)

    def _ask(self, journal, command):
        """Append a command until that is acknowledged."""
        self.commands.append(command)
        while True:
            strike = self.faults.strike("client", [type(command).__name__])
            if strike is not None and strike.kind == "pause":
                yield strike.seconds
            try:
                journal.append_under(strike.log_fault if strike is not None else None, command)
            except LogError:
                yield 0.5
            else:
                return

    def _submission(self, journal, submission_id):
        stages = {"fit": {"retries": 2}, "score": {"inputs": {"model": "fit.result"}, "retries": 2}}
        runs = self.chance.randint(1, 3)
        stages |= {name: {"retries": 2} for names in self.around.values() for name in names}
        is_reusing = self.seed % 7 in REUSING
        fields = {"max_concurrent": self.capacity, "shares_keys": is_reusing, **self.limits, **self.around}
        text = definition(runs=runs, stages=stages, **fields)
        return journal.make(
            SubmitExperiment,
            submission_id=submission_id,
            namespace="default",
            experiment="mine",
            definition_json=text,
            definition_digest="",
            recipe_digest="",
            code_path=None,
            code_digest="",
            code_blob=None,
            environment_json="{}",
            output_dir="",
            is_smoke=False,
            **{**WHOLE_AND_NEW, "is_reusing": is_reusing},
        )

    def _whim(self, journal):
        chance = self.chance
        run_id = f"s{chance.randint(0, 1)}-{chance.randint(0, 2)}"
        what = chance.randrange(5)
        if what == 0:
            return journal.make(CancelRun, run_id=run_id, reason="enough")
        if what == 1:
            return journal.make(CancelSubmission, submission_id="s0", experiment="mine", reason="enough")
        if what == 2:
            text = journal.ids.uuid7()
            return journal.make(AddNote, subject_kind="run", subject_id=run_id, text=text)
        ended = [run.run_id for run in self.judge.world.runs.values() if run.is_terminal]
        again_id = chance.choice(ended) if ended else run_id
        return journal.make(RetryRun, run_id=again_id, from_stage=chance.choice([None, "fit", "score"]))

    def _outcome(self):
        judge = self.judge
        if not self._is_over() or self.timeline.now_s > END_S:
            judge.problems.append(f"not at rest after {self.timeline.now_s:.0f} virtual seconds: {self._states()}")
        judge.settle(self.commands, self.points, STEPS, lambda run_id, stage: result_after(run_id, stage, STEPS[stage]))
        for actor in self.actors:
            if actor.role == "manager":
                reader = Manager(actor.journal, blueprints=PlainBlueprints())
                reader.read()
                judge.agree(actor.name, reader.world)
        trace = self.log.trace.hexdigest()
        problems = tuple(dict.fromkeys(judge.problems))
        return Outcome(
            self.seed,
            trace,
            problems,
            self.faults.counts,
            judge.voids,
            judge.stops,
            self.timeline.now_s,
            judge.reused,
        )

    def _states(self):
        runs = {
            run.run_id: [run.status, *(stage.status for stage in run.stages)] for run in self.judge.world.runs.values()
        }
        return json.dumps(runs)


def simulate(seed, *, has_around=True, is_limited=None):
    """The history of a seed; grids may have a run before and one after them if ``has_around``.

    They have budgets and breakers as ``is_limited`` says, else as the seed has it.
    """
    has_limits = seed % LIMITED_EVERY == 1 if is_limited is None else is_limited
    return Simulation(seed, has_around=has_around, is_limited=has_limits).run()
