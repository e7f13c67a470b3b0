"""Managers, workers and a reaper that lag, repeat themselves and are overtaken: what must hold holds anyway.

Every actor sees a prefix of the log of its own. What it writes may arrive at once, later, twice, in another order or
never; nonsense stands between. The number of examples is CRUCIBLE_EXAMPLES (10,000 every night).
"""

import os

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crucible.records import RECORD_TYPES
from crucible.rules.agenda import Agenda
from crucible.rules.budget import budget_of
from crucible.rules.decide import decide
from crucible.rules.effective import artifacts, chain, datasets, resumable, windows
from crucible.rules.state import DONE_STATUSES
from crucible.rules.world import World
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.scene import Maker

EXAMPLES = int(os.environ.get("CRUCIBLE_EXAMPLES", "60"))
EXPERIMENT = "mine"
RUNS = 2
BLUEPRINTS = PlainBlueprints()
EVENT_NAMES = sorted(name for name, kind in RECORD_TYPES.items() if kind.TOPIC == "events")
HEADER = {"occurred_at_us": 0, "actor": "test", "traceparent": None}
IDS = st.sampled_from(["s0-0", "s0-1", "s1-0", "s0", "s1", EXPERIMENT, "experiment:mine:max_concurrent", "c1", "w1"])
COST = {"name": "cost/usd", "value": 1.0, "unit": None, "items": None, "origin": "", "kind": "", "definition": None}
LIMITS = [
    {},
    {"budget": {"time_s": None, "cost": {"metric": "cost/usd", "max": 2.0}, "runs": None}},
    {"budget": {"time_s": 3.0, "cost": None, "runs": 1}},
    {"breaker": {"window": 2, "failure_rate": 0.0, "min_runs": 1}, "budget": {"runs": 1}},
]
ENDS = {"RunCompleted", "RunFailed", "RunCanceled"}
ATTEMPT_ENDS = {"StageCompleted", "StageFailed", "StageCanceled"}


class View:
    """What one actor has read."""

    def __init__(self, log, *, prefers_late=False):
        """``prefers_late``: of several results that could be reused it takes another one than everybody else."""
        self._log = log
        self._sign = -1 if prefers_late else 1
        self.position = 0
        self.world = World()
        self.agenda = Agenda(self.world, BLUEPRINTS, lambda _: True)

    def read(self, count):
        for offset, event in enumerate(self._log[self.position : self.position + count], self.position):
            self.world.apply(event)
            self.agenda.note(event, (self._sign * offset, 0))
        self.position = min(len(self._log), self.position + count)


class Rules(RuleBasedStateMachine):
    """The log, the actors, and what is on its way."""

    def __init__(self):
        super().__init__()
        self.make = Maker()
        self.log = []
        self.truth = World()
        self.applied = []
        self.on_its_way = []
        self.commands = []
        self.answers = {}
        self.managers = [View(self.log), View(self.log, prefers_late=True)]
        self.workers = [View(self.log), View(self.log)]
        self.reaper = View(self.log)

    # What happens to a record

    def append(self, event):
        """The event stands on the log; its effect is held against what must be true."""
        before = self.state_of(event)
        void = self.truth.apply(event)
        self.log.append(event)
        if void is not None:
            assert self.state_of(event) is before, f"{type(event).__name__} is void and changed something"
            return
        self.applied.append(event)
        if type(event).__name__ in {"CommandAccepted", "CommandRejected", "CommandObsolete"}:
            key = (event.command_type, event.subject_id, event.command_id)
            assert key not in self.answers, "a command was answered twice"
            self.answers[key] = event

    def state_of(self, event):
        world = self.truth
        return (
            world.runs.get(event.key)
            or world.experiments.get(event.key)
            or world.limits.get(event.key)
            or world.labels.get(event.key)
            or world.marks.get(event.key)
            or world.workers.get(event.key)
        )

    def send(self, batch, fate):
        """Batches are atomic; a batch may be lost (a manager is killed), late, or written twice."""
        if fate == "late":
            self.on_its_way.append(batch)
        elif fate != "lost":
            for _ in range(2 if fate == "twice" else 1):
                for event in batch:
                    self.append(event)

    def stamped(self, drafts):
        return [
            draft.record_type(
                event_id=draft.event_id,
                causation_id=draft.causation_id,
                correlation_id=draft.correlation_id,
                **HEADER,
                **draft.fields,
            )
            for draft in drafts
        ]

    # The actors

    fates = st.sampled_from(["now", "now", "now", "late", "twice", "lost"])

    @initialize(
        count=st.integers(1, 2),
        capacity=st.sampled_from([None, 1, 2]),
        is_opened=st.booleans(),
        limits=st.sampled_from(LIMITS),
        is_reusing=st.booleans(),
    )
    def begin(self, count, capacity, is_opened, limits, is_reusing):
        for index in range(count):
            self.submit(index, capacity, is_opened, limits, is_reusing)

    def submit(self, index, capacity, is_opened, limits, is_reusing):
        stages = {"fit": {"retries": 1}, "score": {"retries": 0}}
        stages |= {"warm": {"retries": 0}, "compare": {"retries": 0}}
        around = {"before": ["warm"] * is_opened, "after": ["compare"]}
        limits = {"max_concurrent": capacity, **limits}
        text = definition(runs=RUNS, stages=stages, shares_keys=is_reusing, **limits, **around)
        fields = {"experiment": EXPERIMENT, "definition_json": text, "is_reusing": is_reusing}
        self.commands.append(self.make("SubmitExperiment", submission_id=f"s{index}", **fields))

    @rule(kind=st.sampled_from(["CancelRun", "RetryRun", "PurgeRun"]), number=st.integers(0, 2 * RUNS - 1))
    def command_a_run(self, kind, number):
        fields = {} if kind == "RetryRun" else {"reason": "asked"}
        self.commands.append(self.make(kind, run_id=f"s{number // RUNS}-{number % RUNS}", **fields))

    @rule(index=st.integers(0, 1))
    def cancel_a_submission(self, index):
        self.commands.append(
            self.make("CancelSubmission", submission_id=f"s{index}", experiment=EXPERIMENT, reason="asked")
        )

    @rule(index=st.integers(0, 1), budget=st.sampled_from(['{"runs": 2}', '{"cost": 3}', '{"time_s": 9, "cost": 1}']))
    def change_a_budget(self, index, budget):
        where = {"submission_id": f"s{index}", "experiment": EXPERIMENT}
        self.commands.append(self.make("ChangeBudget", **where, budget_json=budget))

    @rule(index=st.integers(0, 1), kind=st.sampled_from(["run", "submission"]), name=st.sampled_from("ab"))
    def label(self, index, kind, name):
        subject = {"subject_kind": kind, "subject_id": "s0-0" if kind == "run" else "s0"}
        changes = {"added": [name]} if index else {"removed": [name]}
        self.commands.append(self.make("ChangeTags", **subject, **changes))

    @rule(index=st.integers(0, 1), count=st.integers(0, 30), fate=fates, which=st.integers(0, 99))
    def a_manager_answers(self, index, count, fate, which):
        view = self.managers[index]
        view.read(count)
        waiting = [command for command in self.commands if not view.world.is_answered(command)] or self.commands
        drafts = decide(view.world, waiting[which % len(waiting)], blueprints=BLUEPRINTS)
        if drafts:
            self.send(self.stamped(drafts), fate)

    @rule(index=st.integers(0, 1), count=st.integers(0, 30), fate=fates, now_s=st.sampled_from([0.0, 1.0, 5.0]))
    def a_manager_plans(self, index, count, fate, now_s):
        view = self.managers[index]
        view.read(count)
        for batch in view.agenda.plan(lambda *_: True, now_s):
            self.send(self.stamped(batch), fate)
        if fate != "now":
            view.agenda.rebuild()

    @rule(index=st.integers(0, 1))
    def a_manager_is_replaced(self, index):
        self.managers[index] = View(self.log)

    @rule(
        index=st.integers(0, 1),
        count=st.integers(0, 30),
        fate=fates,
        which=st.integers(0, 99),
        act=st.sampled_from(["beat", "save", "complete", "complete", "fail", "break", "cancel", "release"]),
    )
    def a_worker_works(self, index, count, fate, which, act):
        view = self.workers[index]
        view.read(count)
        runs = [run for run in view.world.runs.values() if run.current_stage and run.current_stage.current]
        if not runs:
            return
        run = runs[which % len(runs)]
        stage = run.current_stage
        where = {"run_id": run.run_id, "stage": stage.name, "attempt": stage.current.number}
        if (claim := run.live_claim) is None:
            claimed = self.make("StageClaimed", **where, claim_id=f"c{len(self.log)}-{index}", lease_ms=1)
            saved = resumable(stage)
            resumed = [
                self.make("StageResumed", **where, claim_id=claimed.claim_id, checkpoint_event_id=saved.event_id)
                for saved in ([saved] if saved is not None and which % 2 else [])
            ]
            self.send([claimed, *resumed], fate)
            return
        mine = {**where, "claim_id": claim.claim_id}
        events = {
            "beat": lambda: [self.make("StageHeartbeat", **mine, beat=claim.beat + 1, telemetry_end={"x.m": which})],
            "save": lambda: [
                self.make("CheckpointSaved", **mine, step=which, telemetry_end={f"{claim.claim_id}.m": which}),
                self.make("ArtifactSaved", **mine, name="model"),
            ],
            "complete": lambda: [self.make("StageCompleted", **mine, metrics=[COST])],
            "fail": lambda: [self.make("StageFailed", **mine, error_class="transient")],
            "break": lambda: [self.make("StageFailed", **mine, error_class="permanent")],
            "cancel": lambda: [self.make("StageCanceled", **mine)],
            "release": lambda: [
                self.make("StageLeaseExpired", **mine, last_event_id=claim.last_event_id, reason="released")
            ],
        }
        self.send(events[act](), fate)

    @rule(count=st.integers(0, 30), fate=fates)
    def the_reaper_is_wrong_or_right(self, count, fate):
        self.reaper.read(count)
        for run in self.reaper.world.runs.values():
            if (claim := run.live_claim) is not None:
                where = {"run_id": run.run_id, "stage": claim.stage, "attempt": claim.attempt}
                last = {"claim_id": claim.claim_id, "last_event_id": claim.last_event_id, "reason": "silent"}
                self.send([self.make("StageLeaseExpired", **where, **last)], fate)

    # What goes wrong on the way

    @rule(which=st.integers(0, 99))
    def something_late_arrives(self, which):
        if self.on_its_way:
            for event in self.on_its_way.pop(which % len(self.on_its_way)):
                self.append(event)

    @rule(which=st.integers(0, 9999))
    def something_old_is_written_again(self, which):
        if self.log:
            old = self.log[which % len(self.log)]
            before = self.state_of(old)
            applied = len(self.applied)
            self.append(old)
            if type(old).__name__ != "ReportRequested":
                assert len(self.applied) == applied or old not in self.applied[:applied], "a repeat had an effect"
            if len(self.applied) == applied:
                assert self.state_of(old) is before

    @rule(data=st.data())
    def nonsense_is_written(self, data):
        name = data.draw(st.sampled_from(EVENT_NAMES))
        kind = RECORD_TYPES[name]
        values = {
            "run_id": IDS,
            "submission_id": IDS,
            "subject_id": IDS,
            "experiment": st.just(EXPERIMENT),
            "claim_id": IDS,
            "stage": st.sampled_from(["fit", "score", "none"]),
            "attempt": st.integers(0, 3),
            "generation": st.integers(0, 3),
            "number": st.integers(0, 3),
            "grant": st.integers(0, 3),
            "capacity": st.just(0),
            "beat": st.integers(0, 3),
            "subject_kind": st.sampled_from(["run", "submission", "x"]),
            "from_stage": st.sampled_from(["fit", "score", "none"]),
        }
        # A forged start, grant, cancel, submission or reopening is what it says; the others need a state to fit to.
        if name in {"RunCreated", "RunStarted", "PermitReleased", "SubmissionAccepted", "RunReopened"}:
            return
        fields = {field: data.draw(values[field]) for field in kind.__dataclass_fields__ if field in values}
        self.append(self.make(name, **fields))

    # What must be true

    @invariant()
    def a_limit_is_never_exceeded(self):
        for limit in self.truth.limits.values():
            capacity = max((e.capacity for e in self.applied if type(e).__name__ == "PermitGranted"), default=0)
            assert len(limit.holders) <= capacity
        for submission in (self.truth.submission("s0"), self.truth.submission("s1")):
            if submission is not None and '"max_concurrent": 1' in submission.accepted.definition_json:
                running = [run for run in self.truth.runs.values() if run.status == "running"]
                assert len(running) <= 1

    @invariant()
    def a_submission_is_stopped_once_and_starts_no_more_runs_than_its_budget(self):
        stops = [
            (event.submission_id, event.generation, getattr(event, "kind", "breaker"), getattr(event, "allowed", None))
            for event in self.applied
            if type(event).__name__ in {"BudgetExceeded", "BreakerOpened"}
        ]
        assert len(stops) == len(set(stops))
        for index in range(2):
            submission = self.truth.submission(f"s{index}")
            runs = budget_of(submission).runs if submission is not None else None
            if runs is not None:
                started = [
                    run
                    for run in self.truth.runs.values()
                    if run.created.submission_id == f"s{index}" and run.created.scope == "run" and run.starts
                ]
                assert len(started) <= max(runs, 1)

    @invariant()
    def each_run_has_one_live_claim_at_most(self):
        for run in self.truth.runs.values():
            claims = [claim for stage in run.stages for attempt in stage.attempts for claim in attempt.claims]
            live = [claim for claim in claims if claim.status == "live"]
            assert len(live) <= 1
            assert run.live_claim is (live[0] if live else None)
            assert not (run.is_terminal and live)
            if run.status == "completed":
                assert all(stage.status in DONE_STATUSES for stage in run.stages)
            assert set(windows(run)) >= {f"{claim.claim_id}.m" for claim in live}

    @invariant()
    def a_reused_stage_has_its_result_from_its_own_run_s_events(self):
        for run in self.truth.runs.values():
            for stage in run.stages:
                saved, used = artifacts(stage), datasets(stage)
                if stage.status == "reused":
                    assert chain(stage) == ()
                    assert len(stage.attempts) == 1
                    assert set(saved) <= {"model"}
                    assert not used

    def teardown(self):
        """Everything arrives, the actors catch up and work: every command is answered, every run ends, and once."""
        for batch in self.on_its_way:
            for event in batch:
                self.append(event)
        self.come_to_rest()
        assert set(self.answers) >= {
            (type(command).__name__, command.key, command.event_id) for command in self.commands
        }
        for run in self.truth.runs.values():
            assert run.is_terminal
        for experiment in self.truth.experiments.values():
            for submission in experiment.submissions.values():
                assert submission.closed is not None
        self.count_ends()
        self.look_at_analyses()
        self.fold_again()

    def look_at_analyses(self):
        """A grid that ended with a result, and was not canceled, has the analysis of exactly these ends."""
        for submission_id in ("s0", "s1"):
            grid = [run for run in self.truth.runs.values() if run.run_id.startswith(f"{submission_id}-")]
            grid = [run for run in grid if run.created.scope == "run"]
            submission = self.truth.submission(submission_id)
            was_canceled = submission is not None and submission.cancel_reason is not None
            if any(run.status == "completed" for run in grid) and not was_canceled:
                number = 1 + sum(run.generation - 1 for run in grid)
                assert self.truth.runs[f"{submission_id}-after-{number}"].is_terminal

    def come_to_rest(self):
        manager, worker = View(self.log), View(self.log)
        for _ in range(400):
            manager.read(len(self.log))
            batches = [list(decide(manager.world, command, blueprints=BLUEPRINTS)) for command in self.commands]
            batches = [batch for batch in batches if batch][:1] + manager.agenda.plan(lambda *_: True)
            for batch in batches:
                self.send(self.stamped(batch), "now")
            worker.read(len(self.log))
            claims = [run.live_claim for run in worker.world.runs.values() if run.live_claim is not None]
            for run in worker.world.runs.values():
                if run.live_claim is None and run.current_stage and run.current_stage.status == "requested":
                    where = {"run_id": run.run_id, "stage": run.current_stage.name}
                    attempt = run.current_stage.current.number
                    self.append(self.make("StageClaimed", **where, attempt=attempt, claim_id=f"c{len(self.log)}"))
                    batches.append([])
                elif (claim := run.live_claim) in claims and claim is not None:
                    where = {"run_id": run.run_id, "stage": claim.stage, "attempt": claim.attempt}
                    self.append(self.make("StageCompleted", **where, claim_id=claim.claim_id))
                    batches.append([])
            if not batches:
                return
        raise AssertionError("the actors do not come to rest")

    def count_ends(self):
        starts, ends, attempt_ends = [], [], []
        generation = dict.fromkeys(self.truth.runs, 1)
        for event in self.applied:
            name = type(event).__name__
            if name == "RunReopened":
                generation[event.run_id] = event.generation
            if name == "RunStarted":
                starts.append((event.run_id, generation[event.run_id]))
            if name in ENDS:
                ends.append((event.run_id, generation[event.run_id]))
            if name in ATTEMPT_ENDS:
                attempt_ends.append((event.run_id, event.stage, event.attempt))
        assert len(starts) == len(set(starts))
        assert len(ends) == len(set(ends))
        assert len(attempt_ends) == len(set(attempt_ends))

    def fold_again(self):
        """Another order of the keys, the same in each: the same world."""
        world = World()
        for key in sorted({event.key for event in self.log}):
            for event in self.log:
                if event.key == key:
                    world.apply(event)
        assert (world.runs, world.limits, world.marks) == (self.truth.runs, self.truth.limits, self.truth.marks)
        assert (world.experiments, world.labels) == (self.truth.experiments, self.truth.labels)


Rules.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestRules = Rules.TestCase
