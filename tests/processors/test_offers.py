import dataclasses

import pytest

from crucible.blobs import FolderBlobs
from crucible.definition.code_digest import code_digest
from crucible.errors import StorageError
from crucible.processors.offers import PREFERENCE_S, Abilities, Eligibility, Offers
from crucible.records import (
    RunCancelRequested,
    RunCreated,
    RunStarted,
    StageClaimed,
    StageLeaseExpired,
    StageRequested,
    WorkerStarted,
    WorkerStopped,
)
from crucible.rules.world import World
from crucible.testing.ports import VirtualClock

HEADER = {
    "occurred_at_us": 0,
    "actor": "test",
    "causation_id": None,
    "correlation_id": None,
    "traceparent": None,
}
REQUEST = {
    "stage": "fit",
    "attempt": 1,
    "generation": 1,
    "stage_index": 0,
    "stage_type": "m:f",
    "stage_key": "",
    "command": None,
    "options_json": "{}",
    "inputs_json": "{}",
    "metrics_json": "{}",
    "datasets_json": "{}",
    "seed": 0,
    "namespace": "default",
    "queue": "default",
    "adapter": None,
    "resources_json": "{}",
    "code_path": None,
    "code_digest": "",
    "code_blob": None,
    "blobs": (),
    "timeout_ms": None,
    "stall_timeout_ms": None,
    "checkpoint_every_ms": 1000,
    "steps_max": None,
    "is_smoke": False,
    "hooks_json": "{}",
    "blob_store": None,
}


class Room:
    """A world with runs and workers, and the offers that one worker sees."""

    def __init__(self):
        self.clock = VirtualClock()
        self.world = World()
        self.offers = Offers(self.clock.monotonic)
        self._count = 0

    def apply(self, record_type, **fields):
        self._count += 1
        event = record_type(event_id=f"event-{self._count}", **HEADER, **fields)
        void = self.world.apply(event)
        assert void is None, void
        run = self.world.runs.get(event.key)
        if run is not None:
            self.offers.note(run)
        return event

    def request(self, run_id, **changed):
        created = {
            "submission_id": "s",
            "namespace": "default",
            "experiment": "e",
            "ref": run_id,
            "label": run_id,
            "cell_id": "c",
            "cell_index": 0,
            "grid_index": 0,
            "repeat": 1,
            "params_json": "{}",
            "seed": 0,
            "stages": ["fit"],
            "retries_max": [3],
            "limits": [],
            "output_dir": "out",
            "is_smoke": False,
            "scope": "run",
        }
        self.apply(RunCreated, run_id=run_id, **created)
        self.apply(RunStarted, run_id=run_id, generation=1)
        return self.apply(StageRequested, run_id=run_id, **{**REQUEST, **changed})

    def worker(self, worker_id, *, queues=("default",), adapters=()):
        facts = {"host": "h", "pid": 1, "slots": 1, "crucible_version": "0"}
        self.apply(WorkerStarted, worker_id=worker_id, queues=list(queues), adapters=list(adapters), **facts)

    def claim(self, run_id, worker_id):
        fields = {"stage": "fit", "attempt": 1, "claim_id": f"claim-{run_id}", "host": "h", "lease_ms": 1000}
        return self.apply(StageClaimed, run_id=run_id, worker_id=worker_id, **fields)

    def take(self, worker_id):
        offer = self.offers.take(worker_id, self.world.present)
        return None if offer is None else offer.request.run_id

    def takers(self, count, workers):
        """For each of ``count`` new runs, the workers that may claim it at once."""
        takers = []
        for number in range(count):
            run_id = f"run-{number}"
            self.request(run_id)
            may = []
            for worker_id in workers:
                if self.take(worker_id) is not None:
                    may.append(worker_id)
                    self.offers.note(self.world.runs[run_id])
            takers.append(may)
            self.take(may[0])
        return takers


def test_one_worker_is_preferred_for_each_stage_and_stages_spread_over_workers():
    room = Room()
    for worker_id in ("a", "b", "c"):
        room.worker(worker_id)
    takers = room.takers(30, ["a", "b", "c"])
    assert all(len(each) == 1 for each in takers)
    assert {each[0] for each in takers} == {"a", "b", "c"}


def test_after_a_while_any_worker_may_claim():
    room = Room()
    room.worker("a")
    room.worker("b")
    number = 0
    room.request("run-0")
    while room.take("a") is not None:
        number += 1
        room.request(f"run-{number}")
    assert 0 < room.offers.wait_s(5) <= PREFERENCE_S
    room.clock.advance(PREFERENCE_S)
    assert room.take("a") == f"run-{number}"


@pytest.mark.parametrize("why", ["busy", "gone", "other queue", "no adapter"])
def test_a_worker_that_can_not_take_a_stage_is_not_preferred(why):
    room = Room()
    room.worker("a", adapters=["local"])
    if why == "busy":
        room.worker("b")
        room.request("before")
        room.claim("before", "b")
    elif why == "gone":
        room.worker("b")
        room.apply(WorkerStopped, worker_id="b", reason="gone")
    elif why == "no adapter":
        room.worker("b")
    else:
        room.worker("b", queues=["gpu"], adapters=["local"])
    for number in range(10):
        room.request(f"run-{number}", adapter="local" if why == "no adapter" else None)
        assert room.take("a") == f"run-{number}"


def test_a_claimed_stage_is_no_offer_and_one_whose_lease_has_ended_is_one_again():
    room = Room()
    room.worker("a")
    room.request("run")
    claimed = room.claim("run", "b")
    assert (len(room.offers), room.offers.load("b")) == (0, 1)
    fields = {"stage": "fit", "attempt": 1, "claim_id": claimed.claim_id, "last_event_id": claimed.event_id}
    room.apply(StageLeaseExpired, run_id="run", reason="gone", **fields)
    assert (room.take("a"), room.offers.load("b")) == ("run", 0)


def test_a_run_that_is_to_be_canceled_is_no_offer():
    room = Room()
    room.request("run")
    room.apply(RunCancelRequested, run_id="run", reason="enough")
    assert len(room.offers) == 0


def test_a_stage_that_was_refused_is_offered_again_after_a_while():
    room = Room()
    room.worker("a")
    room.request("run")
    offer = room.offers.take("a", room.world.present)
    room.offers.give_back(offer, is_refused=True)
    assert room.take("a") is None
    room.clock.advance(5)
    assert room.take("a") == "run"


@pytest.fixture
def problem_of(tmp_path):
    blobs = FolderBlobs(tmp_path / "blobs")
    able = Abilities(queues=["default"], adapters=["local"], namespaces=["team"], resources={"gpu": 2, "arch": "x86"})
    request = Room().request("run", namespace="team")

    def problem(**changed):
        return Eligibility(able, blobs, tmp_path).problem(dataclasses.replace(request, **changed), None)

    return problem


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"queue": "gpu"}, "queue 'gpu'"),
        ({"namespace": "others"}, "namespace 'others'"),
        ({"adapter": "local"}, None),
        ({"adapter": "remote"}, "adapter 'remote'"),
        ({"resources_json": '{"gpu":2,"arch":"x86"}'}, None),
        ({"resources_json": '{"gpu":3}'}, "gpu=3"),
        ({"resources_json": '{"arch":"arm"}'}, "arch=arm"),
        ({"resources_json": '{"tpu":1}'}, "tpu=1"),
        ({"blobs": ("0" * 64,)}, "blob 000"),
        ({"code_path": "/nowhere/mine.py", "code_digest": "1"}, "not on this host"),
    ],
)
def test_what_a_worker_does_not_have_it_does_not_claim(problem_of, changed, reason):
    problem = problem_of(**changed)
    assert problem is None if reason is None else reason in problem


def test_code_must_be_what_was_submitted(problem_of, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n")
    assert problem_of(code_path=str(path), code_digest=code_digest(path)) is None
    assert "has changed" in problem_of(code_path=str(path), code_digest="0" * 64)


def test_a_worker_with_another_blob_store_does_not_claim_and_one_with_a_copy_of_it_does(tmp_path):
    theirs, mine = FolderBlobs(tmp_path / "theirs"), FolderBlobs(tmp_path / "mine")
    store_id = theirs.identify()
    request = Room().request("run", blob_store=store_id)
    able = Abilities(queues=["default"], adapters=[])
    assert Eligibility(able, theirs, tmp_path).problem(request, None) is None
    eligibility = Eligibility(able, mine, tmp_path)
    problem = eligibility.problem(request, None)
    assert problem == f"it needs blob store {store_id}, this worker has another one, {tmp_path / 'mine'}"
    mine.note("stores", store_id)
    assert eligibility.problem(request, None) is None


def test_a_worker_whose_blob_store_does_not_answer_does_not_claim(tmp_path, monkeypatch):
    blobs = FolderBlobs(tmp_path / "blobs")
    request = Room().request("run", blobs=("0" * 64,))

    def fail(digests):
        raise StorageError("no answer from s3://bucket")

    monkeypatch.setattr(blobs, "missing", fail)
    problem = Eligibility(Abilities(queues=["default"], adapters=[]), blobs, tmp_path).problem(request, None)
    assert problem == "it needs blobs, and they can't be read now: no answer from s3://bucket"
