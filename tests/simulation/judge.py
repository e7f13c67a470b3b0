"""What must be true of a history, checked as it is written and at its end."""

from collections import Counter

from crucible.rules.budget import budget_of
from crucible.rules.effective import artifacts, chain
from crucible.rules.world import World

ENDS = frozenset({"RunCompleted", "RunFailed", "RunCanceled"})
ANSWERS = frozenset({"CommandAccepted", "CommandRejected", "CommandObsolete"})


class Judge:
    """Folds events in the order in which they were appended and notes what must not be."""

    def __init__(self):
        self.world = World()
        self.problems = []
        self.voids = Counter()
        self.capacity = None
        self._events = []
        self._running = set()
        self.stops = Counter()
        """Budgets that were found spent, by kind, and breakers that opened."""
        self._once = set()
        self._completions = {}
        """(run, stage) of each completion that had an effect, by event_id."""
        self.reused = 0

    def see(self, event):
        self._events.append(event)
        void = self.world.apply(event)
        if void is not None:
            self.voids[void.reason] += 1
            return
        name = type(event).__name__
        if name in ANSWERS:
            self._expect_first("answer", event.command_id)
        elif name == "NoteAdded":
            self._expect_first("note", event.text)
        elif name == "StageClaimed":
            self._expect_first("claim", event.claim_id)
        elif name in ("BudgetExceeded", "BreakerOpened"):
            what = getattr(event, "kind", "breaker"), getattr(event, "allowed", None)
            self.stops[what[0]] += 1
            self._expect_first("stop", (event.submission_id, event.generation, *what))
        elif name == "SubmissionCancelRequested" and event.causation_id is not None:
            self._expect_first("cancel", event.causation_id)
        elif name in ("StageHeartbeat", "CheckpointSaved", "ArtifactSaved"):
            self._expect_first("record", event.event_id)
        run = self.world.runs.get(event.key)
        if run is not None:
            self._see_run(name, event, run)

    def _see_run(self, name, event, run):
        if name == "StageReused":
            self._see_reused(event, run)
        if name == "StageCompleted":
            self._completions[event.event_id] = (run.run_id, event.stage)
            self._expect_first("completion", (run.run_id, event.stage, run.generation))
        elif name == "RunStarted":
            self._expect_first("start", (run.run_id, run.generation))
            self._count_starts(run.created.submission_id)
        elif name in ENDS:
            self._expect_first("end", (run.run_id, run.generation))
        if run.status == "running":
            self._running.add(run.run_id)
        else:
            self._running.discard(run.run_id)
        if self.capacity is not None and len(self._running) > self.capacity:
            self.problems.append(f"{len(self._running)} runs at once, {self.capacity} allowed")

    def _count_starts(self, submission_id):
        submission = self.world.submission(submission_id)
        allowed = budget_of(submission).runs if submission is not None else None
        started = sum(
            run.created.submission_id == submission_id and run.created.scope == "run" and run.starts > 0
            for run in self.world.runs.values()
        )
        if allowed is not None and started > allowed:
            self.problems.append(f"{started} runs of {submission_id} started, {allowed:g} allowed")

    def _see_reused(self, event, run):
        self.reused += 1
        if self._completions.get(event.from_event_id) != (event.from_run_id, event.stage):
            self.problems.append(f"{run.run_id} {event.stage} has its result from no stage that was executed before")
        if run.generation != 1 or event.attempt != 1:
            self.problems.append(f"{run.run_id} {event.stage}: a retry was reused")

    def _expect_first(self, what, key):
        if (what, key) in self._once:
            self.problems.append(f"a second {what} of {key} was applied")
        self._once.add((what, key))

    @property
    def is_at_rest(self):
        """Every run has ended and every submission is closed."""
        submissions = [each for state in self.world.experiments.values() for each in state.submissions.values()]
        return (
            bool(submissions)
            and all(each.closed is not None for each in submissions)
            and all(run.is_terminal for run in self.world.runs.values())
        )

    def settle(self, commands, points, steps, result_of):
        """The checks of a history that has come to rest.

        ``points`` are all telemetry points (claim, sequence, step); ``steps`` says how many each stage has, and
        ``result_of`` what a stage has to give.
        """
        for command in commands:
            if not self.world.is_answered(command):
                self.problems.append(f"{type(command).__name__} {command.event_id} was never answered")
        for run in self.world.runs.values():
            for stage in run.stages:
                if stage.status == "completed":
                    self._settle_stage(run, stage, points, steps[stage.name], result_of)
                elif stage.status == "reused":
                    source_id = stage.current.reused.from_run_id
                    result = artifacts(stage).get("result")
                    if result is None or result.digest != result_of(source_id, stage.name):
                        self.problems.append(f"{run.run_id} {stage.name}: another result than that of {source_id}")
        self._fold_by_key()

    def _settle_stage(self, run, stage, points, count, result_of):
        bounds = {}
        for link in chain(stage):
            end = link.until.telemetry_end if link.until is not None else link.claim.telemetry_end
            bounds[link.claim.claim_id] = end.get(f"{link.claim.claim_id}.m", 0)
        found = sorted(step for claim_id, sequence, step in points if sequence < bounds.get(claim_id, 0))
        if found != list(range(1, count + 1)):
            self.problems.append(f"{run.run_id} {stage.name}: effective steps {found}, expected 1 to {count}")
        result = artifacts(stage).get("result")
        if result is None or result.digest != result_of(run.run_id, stage.name):
            self.problems.append(f"{run.run_id} {stage.name}: another result than that of an undisturbed run")

    def _fold_by_key(self):
        """Another interleaving of the keys: the same world."""
        other = World()
        by_key = {}
        for event in self._events:
            by_key.setdefault(event.key, []).append(event)
        for key in sorted(by_key, reverse=True):
            for event in by_key[key]:
                other.apply(event)
        self.agree("a reader with another interleaving", other)

    def agree(self, who, world):
        """Whether a reader that has read everything sees the same."""
        mine = self.world
        if (world.runs, world.limits, world.experiments) != (mine.runs, mine.limits, mine.experiments):
            self.problems.append(f"{who} sees another world")
