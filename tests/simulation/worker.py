"""A model worker: claims, works step by step, saves, and stops when it is told or finds that it has lost its claim.

It is a generator: each ``yield`` says how long the worker is busy, and the simulator may stop it there for ever
(kill), for a while (pause), or at the points of the protocol.
"""

import hashlib

from crucible.errors import LogError
from crucible.processors.follower import Follower
from crucible.records import (
    ArtifactSaved,
    CheckpointSaved,
    StageCanceled,
    StageClaimed,
    StageCompleted,
    StageFailed,
    StageHeartbeat,
    StageLeaseExpired,
    StageResumed,
)
from crucible.rules.effective import resumable
from tests.simulation.faults import KilledError

LEASE_MS = 15_000
BEAT_S = 5.0
CHECKPOINT_EVERY = 3
BREAK_CHANCE = 0.006
"""Of a step, to fail for good."""
FAIL_CHANCE = 0.018
"""Of a step, to fail in a way that is tried again, or for good."""
RELEASE_CHANCE = 0.012
"""Of a step, to be the last one before the worker drains."""
IDLE_S = 2.0
PATIENCE_S = 0.7
"""Wait after the log did not answer."""


def first_state(run_id, stage):
    return f"{run_id}/{stage}"


def next_state(state, step):
    return hashlib.sha256(f"{state} {step}".encode()).hexdigest()


def result_after(run_id, stage, steps):
    """What an undisturbed stage gives."""
    state = first_state(run_id, stage)
    for step in range(1, steps + 1):
        state = next_state(state, step)
    return state


COST = {
    "name": "cost/usd",
    "value": 1.0,
    "unit": None,
    "items": None,
    "origin": "measured",
    "kind": "environment",
    "definition": None,
}


class LostError(Exception):
    """The claim lives no more."""


class ModelWorker:
    """One life of a worker with one slot."""

    def __init__(self, journal, faults, chance, *, name, steps, blobs, points):
        self._journal = journal
        self._faults = faults
        self._chance = chance
        self._name = name
        self._steps = steps
        self._blobs = blobs
        self._points = points
        self.is_idle = False
        """It waits for something new on the log."""
        self._is_careful = chance.random() < 0.8
        self._follower = Follower(journal, ("events",))

    def life(self):
        while True:
            offer = self._offer() if self._read() else None
            self.is_idle = offer is None
            if offer is None:
                yield IDLE_S
                continue
            try:
                yield from self._work(*offer)
            except LostError:
                yield self._chance.uniform(0.05, 0.5)

    def _read(self):
        try:
            self._follower.catch_up()
        except LogError:
            self._follower = Follower(self._journal, ("events",))
            return False
        return True

    def _read_surely(self):
        while not self._read():
            yield PATIENCE_S

    def _offer(self):
        runs = [
            run
            for run in self._follower.world.runs.values()
            if run.cancel_reason is None and (stage := run.current_stage) and stage.status == "requested"
        ]
        if not runs:
            return None
        run = self._chance.choice(runs)
        stage = run.current_stage
        return run.run_id, stage.name, stage.current.number

    def _append(self, *records):
        """Write records of one key; whether that was acknowledged."""
        name = type(records[0]).__name__
        strike = self._faults.strike("worker", [name])
        kind = strike.kind if strike is not None else None
        if kind == "pause":
            yield strike.seconds
        if kind == "kill before":
            raise KilledError(kind)
        try:
            self._journal.append_under(strike.log_fault if strike is not None else None, *records)
        except LogError:
            return False
        if kind == "kill after":
            raise KilledError(kind)
        return True

    def _append_surely(self, *records):
        """Write records again and again with the same ids, as long as the claim lives."""
        while not (yield from self._append(*records)):
            yield PATIENCE_S
            yield from self._require_claim()

    @property
    def _claim(self):
        run = self._follower.world.runs.get(self._where["run_id"])
        claim = run.live_claim if run is not None else None
        return claim if claim is not None and claim.claim_id == self._where["claim_id"] else None

    def _require_claim(self):
        yield from self._read_surely()
        if self._claim is None:
            raise LostError

    def _fence(self):
        """Before anything that others will see: the claim lives, and the last heartbeat is young enough."""
        if not self._is_careful:
            return
        yield from self._require_claim()
        if self._journal.clock.monotonic() - self._acknowledged_s >= LEASE_MS / 1000 * 2 / 3:
            yield from self._beat()
            yield from self._require_claim()

    def _beat(self):
        self._beats += 1
        now_s = self._journal.clock.monotonic()
        beat = self._make(StageHeartbeat, beat=self._beats, step=self._step, telemetry_end=self._end())
        if (yield from self._append(beat)):
            self._acknowledged_s = now_s

    def _make(self, record_type, **fields):
        return self._journal.make(record_type, **self._where, **fields)

    def _end(self):
        return {f"{self._where['claim_id']}.m": self._sequence}

    def _work(self, run_id, stage, attempt):
        claim_id = self._journal.ids.uuid7()
        self._where = {"run_id": run_id, "stage": stage, "attempt": attempt, "claim_id": claim_id}
        self._beats = self._sequence = self._step = 0
        self._acknowledged_s = self._journal.clock.monotonic()
        claimed = self._make(StageClaimed, worker_id=self._name, host=self._name, lease_ms=LEASE_MS)
        yield from self._append(claimed)
        yield self._chance.uniform(0.001, 0.1)
        yield from self._require_claim()
        state = yield from self._begin(run_id, stage)
        while self._step < self._steps[stage]:
            state = yield from self._do_step(state)
            if state is None:
                return
        yield from self._fence()
        yield from self._append_surely(self._artifact(state))
        yield from self._fence()
        done = {"metrics": [COST], "duration_ms": None, "is_simulated": False, "telemetry_end": self._end()}
        yield from self._append_surely(self._make(StageCompleted, **done))

    def _begin(self, run_id, stage):
        """The state to go on from: that of the newest checkpoint, if there is one and the log says that we use it."""
        saved = resumable(self._follower.world.runs[run_id].stage(stage))
        if saved is None:
            return first_state(run_id, stage)
        resumed = self._make(StageResumed, checkpoint_event_id=saved.event_id, step=saved.step)
        yield from self._append_surely(resumed)
        yield from self._require_claim()
        self._step = saved.step
        return self._blobs[saved.digest]

    def _do_step(self, state):
        """One step; None if the stage is over for this claim."""
        yield self._chance.uniform(0.2, 2.5)
        if self._journal.clock.monotonic() - self._acknowledged_s >= BEAT_S:
            yield from self._beat()
            if self._read() and self._claim is None and self._is_careful:
                raise LostError
        run = self._follower.world.runs.get(self._where["run_id"])
        if run is not None and run.cancel_reason is not None:
            yield from self._append_surely(self._make(StageCanceled, telemetry_end=self._end()))
            return None
        self._step += 1
        state = next_state(state, self._step)
        self._points.append((self._where["claim_id"], self._sequence, self._step))
        self._sequence += 1
        fate = self._chance.random() if self._faults.is_on else 1.0
        if fate < FAIL_CHANCE:
            yield from self._append_surely(self._failure("permanent" if fate < BREAK_CHANCE else "transient"))
            return None
        is_released = fate < FAIL_CHANCE + RELEASE_CHANCE
        if is_released or self._step % CHECKPOINT_EVERY == 0:
            yield from self._checkpoint(state)
        if is_released:
            yield from self._require_claim()
            last = self._claim.last_event_id
            yield from self._append(self._make(StageLeaseExpired, last_event_id=last, reason="released"))
            return None
        return state

    def _checkpoint(self, state):
        yield from self._fence()
        digest = hashlib.sha256(state.encode()).hexdigest()
        self._blobs[digest] = state
        strike = self._faults.strike("worker", ["blob"])
        if strike is not None and strike.kind != "pause":
            raise KilledError(strike.kind)
        if strike is not None:
            yield strike.seconds
        yield from self._fence()
        saved = self._make(CheckpointSaved, step=self._step, digest=digest, files=[], telemetry_end=self._end())
        yield from self._append_surely(saved)

    def _artifact(self, state):
        return self._make(ArtifactSaved, name="result", kind="model", digest=state, files=[], metadata_json="{}")

    def _failure(self, error_class):
        return self._make(
            StageFailed,
            error_class=error_class,
            error_type="OSError",
            message="gone",
            traceback_blob=None,
            is_retryable=error_class == "transient",
            telemetry_end=self._end(),
        )
