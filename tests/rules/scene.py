"""A world to play events into, one short call each: every call returns None (applied) or the reason of a void."""

import copy
import itertools

from crucible.records import RECORD_TYPES
from crucible.records.schema import latest_schema
from crucible.rules.world import World

RUN = "run-1"
STAGES = ("fit", "score")


class Maker:
    """Makes records: fields that a test does not name have the value that readers take for one, ids count up."""

    def __init__(self, prefix="e"):
        self._numbers = itertools.count(1)
        self._prefix = prefix

    def __call__(self, name, /, **fields):
        blanks = {field["name"]: copy.copy(field["default"]) for field in latest_schema(name).tree["fields"]}
        unknown = set(fields) - set(blanks)
        assert not unknown, f"{name} has no {unknown}"
        header = {"event_id": f"{self._prefix}{next(self._numbers)}", "actor": "test"}
        return RECORD_TYPES[name](**{**blanks, **header, **fields})


class Scene:
    """A world and the records of one run, one experiment and one limit in it."""

    def __init__(self):
        self.world = World()
        self.make = Maker()
        self.records = []

    def apply(self, record):
        self.records.append(record)
        void = self.world.apply(record)
        return None if void is None else void.reason

    def play(self, name, /, **fields):
        return self.apply(self.make(name, **fields))

    def write(self, drafts):
        """Apply drafts as a journal would stamp them; the reasons of voids."""
        header = {"occurred_at_us": 0, "actor": "test", "traceparent": None}
        return [
            self.apply(
                draft.record_type(
                    event_id=draft.event_id,
                    causation_id=draft.causation_id,
                    correlation_id=draft.correlation_id,
                    **header,
                    **draft.fields,
                )
            )
            for draft in drafts
        ]

    @property
    def run(self):
        return self.world.runs[RUN]

    @property
    def last(self):
        return self.records[-1]

    def stage(self, name="fit"):
        return self.run.stage(name)

    def claim_state(self, claim_id):
        claims = [claim for stage in self.run.stages for attempt in stage.attempts for claim in attempt.claims]
        (found,) = [claim for claim in claims if claim.claim_id == claim_id]
        return found

    def create(self, run_id=RUN, **fields):
        given = {"stages": list(STAGES), "retries_max": [1] * len(STAGES), "submission_id": "s1", "experiment": "mine"}
        return self.play("RunCreated", **{**given, "run_id": run_id, **fields})

    def start(self, generation=1):
        return self.play("RunStarted", run_id=RUN, generation=generation)

    def request(self, stage="fit", attempt=1, generation=1, **fields):
        return self.play("StageRequested", run_id=RUN, stage=stage, attempt=attempt, generation=generation, **fields)

    def reuse(self, stage="fit", attempt=1, generation=1, **fields):
        return self.play("StageReused", run_id=RUN, stage=stage, attempt=attempt, generation=generation, **fields)

    def claim(self, claim_id="c1", stage="fit", attempt=1, **fields):
        given = {"worker_id": "w1", "host": "here", "lease_ms": 15_000}
        return self.play("StageClaimed", **self._of(claim_id, stage, attempt), **{**given, **fields})

    def beat(self, beat, claim_id="c1", stage="fit", attempt=1, **fields):
        return self.play("StageHeartbeat", **self._of(claim_id, stage, attempt), beat=beat, **fields)

    def checkpoint(self, step, claim_id="c1", stage="fit", attempt=1, **fields):
        return self.play("CheckpointSaved", **self._of(claim_id, stage, attempt), step=step, **fields)

    def resume(self, checkpoint_event_id, claim_id="c2", stage="fit", attempt=1, **fields):
        where = self._of(claim_id, stage, attempt)
        return self.play("StageResumed", **where, checkpoint_event_id=checkpoint_event_id, **fields)

    def artifact(self, name, claim_id="c1", stage="fit", attempt=1, **fields):
        return self.play("ArtifactSaved", **self._of(claim_id, stage, attempt), name=name, **fields)

    def dataset(self, name, claim_id="c1", stage="fit", attempt=1):
        return self.play("DatasetUsed", **self._of(claim_id, stage, attempt), name=name)

    def comparison(self, part, claim_id="c1", stage="fit", attempt=1):
        return self.play("CellsCompared", **self._of(claim_id, stage, attempt), part=part, parts=2)

    def hook(self, kind="HookCompleted", claim_id="c1", stage="fit", attempt=1, **fields):
        return self.play(kind, **self._of(claim_id, stage, attempt), hook="before_stage", **fields)

    def complete(self, claim_id="c1", stage="fit", attempt=1, **fields):
        return self.play("StageCompleted", **self._of(claim_id, stage, attempt), **fields)

    def fail(self, claim_id="c1", stage="fit", attempt=1, error_class="transient", **fields):
        return self.play("StageFailed", **self._of(claim_id, stage, attempt), error_class=error_class, **fields)

    def cancel_stage(self, claim_id="c1", stage="fit", attempt=1, **fields):
        return self.play("StageCanceled", **self._of(claim_id, stage, attempt), **fields)

    def expire(self, claim_id="c1", stage="fit", attempt=1, *, last=None, reason="silent"):
        last = last if last is not None else self.claim_state(claim_id).last_event_id
        where = self._of(claim_id, stage, attempt)
        return self.play("StageLeaseExpired", **where, last_event_id=last, reason=reason)

    def end(self, kind, generation=1, **fields):
        return self.play(kind, run_id=RUN, generation=generation, **fields)

    def fail_run(self, stage="fit", generation=1, reason="fit: broken"):
        return self.end("RunFailed", generation, stage=stage, reason=reason)

    def cancel(self, reason="enough", **fields):
        return self.play("RunCancelRequested", run_id=RUN, reason=reason, **fields)

    def reopen(self, from_stage="fit", generation=2, **fields):
        return self.play("RunReopened", run_id=RUN, generation=generation, from_stage=from_stage, **fields)

    def submit(self, submission_id="s1", number=1, **fields):
        given = {"experiment": "mine", "run_count": 1}
        return self.play("SubmissionAccepted", **{**given, "submission_id": submission_id, "number": number, **fields})

    def answer(self, kind, command_id, command_type="CancelRun", subject_id=RUN):
        return self.play(kind, command_id=command_id, command_type=command_type, subject_id=subject_id)

    def running(self, claim_id="c1"):
        """A run whose first stage is claimed."""
        assert [self.create(), self.start(), self.request(), self.claim(claim_id)] == [None] * 4
        return self

    def completed(self):
        """A run that has completed."""
        self.running()
        done = [self.complete(), self.request("score"), self.claim("c9", "score"), self.complete("c9", "score")]
        assert [*done, self.end("RunCompleted")] == [None] * 5
        return self

    def failed(self):
        """A run that failed in its first stage."""
        self.running()
        assert [self.fail(), self.fail_run()] == [None, None]
        return self

    @staticmethod
    def _of(claim_id, stage, attempt):
        return {"run_id": RUN, "stage": stage, "attempt": attempt, "claim_id": claim_id}
