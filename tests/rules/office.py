"""Managers for tests: a scene whose agenda plans, and whose plans come back from the log at once."""

from crucible.rules.agenda import Agenda
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.scene import Scene


class Office(Scene):
    """A scene with an agenda: `step` applies what is planned, as if it came back from the log at once."""

    def __init__(self, **fields):
        super().__init__()
        self.agenda = Agenda(self.world, PlainBlueprints())
        self.delays = {}
        self.is_ready = True
        if fields:
            self.submit(definition_json=definition(**fields), run_count=fields.get("runs", 1))

    def apply(self, record):
        reason = super().apply(record)
        self.agenda.note(record)
        return reason

    def ready(self, run_id, stage, attempt, delay_s):
        self.delays[run_id, stage, attempt] = delay_s
        return self.is_ready

    def plan(self):
        batches = self.agenda.plan(self.ready)
        for batch in batches:
            keys = {str(draft.fields[draft.record_type.KEY_FIELD]) for draft in batch}
            assert len(keys) == 1, "a batch has one key"
        return batches

    def write_batches(self, batches):
        """Apply batches; the reasons of voids."""
        return [reason for batch in batches for reason in self.write(batch)]

    def step(self):
        """One plan, applied; the names of its records by batch."""
        batches = self.plan()
        voids = self.write_batches(batches)
        assert voids == [None] * len(voids)
        return [[draft.record_type.__name__ for draft in batch] for batch in batches]

    def settle(self):
        """Plan until nothing is missing; the names of all records."""
        names = []
        while steps := self.step():
            names += [name for batch in steps for name in batch]
        assert not self.agenda.has_work
        return names

    def work(self, run_id, end="StageCompleted", **fields):
        """Claim the current attempt of a run and end it."""
        stage = self.world.runs[run_id].current_stage
        claim_id = f"{run_id}/{stage.name}/{stage.current.number}/{len(stage.current.claims)}"
        where = {"run_id": run_id, "stage": stage.name, "attempt": stage.current.number, "claim_id": claim_id}
        assert self.play("StageClaimed", **where, lease_ms=1) is None
        if end == "StageLeaseExpired":
            fields = {"last_event_id": self.last.event_id, "reason": "silent"}
        assert self.play(end, **where, **fields) is None

    def requested(self):
        return [run_id for run_id, run in self.world.runs.items() if run.stages[0].status == "requested"]

    def statuses(self):
        return [run.status for run in self.world.runs.values()]
