"""The reaper: silence ends a lease, a free lock file ends it at once, and a wrong reaper does no harm."""

import fcntl
import os

import pytest

from crucible.errors import LogError
from crucible.place import Place
from crucible.processors.reaper import Reaper
from crucible.records import (
    RunCreated,
    RunStarted,
    StageClaimed,
    StageCompleted,
    StageHeartbeat,
    StageLeaseExpired,
    StageRequested,
    WorkerStarted,
    WorkerStopped,
)
from crucible.rules.world import World
from tests.processors.journals import Cluster
from tests.rules.scene import Maker

HEADER = ("event_id", "occurred_at_us", "actor", "causation_id", "correlation_id", "traceparent")
LEASE_MS = 15_000


class Office:
    """A log with one run whose stage is claimed, and reapers that tick every half second."""

    def __init__(self, place=None):
        self.cluster = Cluster()
        self.place = place
        self.writer = self.cluster.journal()
        self.where = {"run_id": "r1", "stage": "fit", "attempt": 1}
        self.write(RunCreated, run_id="r1", stages=["fit"], retries_max=[0])
        self.write(RunStarted, run_id="r1", generation=1)
        self.write(StageRequested, **self.where, generation=1)
        self.claim("c1")
        self.reaper = self.new_reaper()
        self.reaper.tick()

    def write(self, record_type, **fields):
        blanks = {name: value for name, value in vars(Maker()(record_type.__name__)).items() if name not in HEADER}
        record = self.writer.make(record_type, **{**blanks, **fields})
        self.writer.append(record)
        return record

    def claim(self, claim_id, worker_id="w1", host="here"):
        return self.write(
            StageClaimed, **self.where, claim_id=claim_id, worker_id=worker_id, host=host, lease_ms=LEASE_MS
        )

    def beat(self, beat, claim_id="c1"):
        return self.write(StageHeartbeat, **self.where, claim_id=claim_id, beat=beat)

    def new_reaper(self, host="here"):
        return Reaper(self.cluster.journal(), self.place, host=lambda: host)

    def wait(self, seconds, reaper=None):
        """Ticks of half a second; how many leases were ended."""
        ended = 0
        for _ in range(round(seconds * 2)):
            self.cluster.clock.advance(0.5)
            ended += (reaper or self.reaper).tick()
        return ended

    def expiries(self):
        return [record for record in self.cluster.records() if isinstance(record, StageLeaseExpired)]

    @property
    def world(self):
        world = World()
        for record in self.cluster.records():
            world.apply(record)
        return world

    def stage_status(self):
        return self.world.runs["r1"].stages[0].status


def hold(path):
    """Make a lock file and hold its lock; close the handle to let go."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


@pytest.fixture
def office():
    return Office()


@pytest.fixture
def local(tmp_path):
    place = Place(tmp_path)
    place.create()
    return Office(place)


def test_a_claim_that_is_silent_for_its_lease_is_ended(office):
    last = office.beat(1)
    assert office.wait(15) == 0
    assert office.wait(1) == 1
    (expired,) = office.expiries()
    assert (expired.claim_id, expired.last_event_id, expired.reason) == ("c1", last.event_id, "silent")
    assert office.stage_status() == "requested"
    assert office.wait(60) == 0


def test_a_claim_that_beats_lives(office):
    for beat in range(1, 20):
        office.beat(beat)
        assert office.wait(5) == 0
    assert office.stage_status() == "running"


def test_a_claim_that_ended_is_left_alone(office):
    office.write(StageCompleted, **office.where, claim_id="c1")
    assert office.wait(60) == 0


def test_a_void_record_is_no_sign_of_life(office):
    office.beat(5)
    office.wait(10)
    office.beat(5)
    office.beat(6, claim_id="c0")
    assert office.wait(6) == 1


def test_a_fresh_reaper_waits_one_whole_lease(office):
    office.wait(14)
    fresh = office.new_reaper()
    assert office.wait(15, fresh) == 0
    assert office.wait(1, fresh) == 1


def test_a_reaper_that_was_paused_does_not_blame_the_workers(office):
    office.cluster.clock.advance(3600)
    assert office.reaper.tick() == 0
    office.beat(1)
    assert office.wait(14) == 0


def test_a_record_that_arrives_while_the_reaper_judges_saves_the_claim(office):
    office.wait(14)
    append = office.reaper._journal.append_batches

    def too_late(batches):
        if batches:
            office.beat(1)
        append(batches)

    office.reaper._journal.append_batches = too_late
    office.wait(1)
    assert len(office.expiries()) == 1
    assert office.stage_status() == "running"
    office.reaper._journal.append_batches = append
    assert office.wait(14) == 0


def test_two_reapers_end_a_lease_once(office):
    second = office.new_reaper()
    second.tick()
    for _ in range(32):
        office.cluster.clock.advance(0.5)
        office.reaper.tick()
        second.tick()
    assert len({expired.event_id for expired in office.expiries()}) == 1
    assert len(office.world.runs["r1"].stages[0].current.claims) == 1
    office.claim("c2")
    assert office.stage_status() == "running"


def test_silence_does_not_count_while_the_log_fails(office):
    end = office.cluster.log.end
    office.cluster.log.end = lambda *_: (_ for _ in ()).throw(LogError("no answer"))
    for _ in range(100):
        office.cluster.clock.advance(0.5)
        with pytest.raises(LogError):
            office.reaper.tick()
    office.cluster.log.end = end
    assert office.wait(14.5) == 0
    assert office.wait(1.5) == 1


def test_a_free_lock_file_ends_every_claim_of_its_worker_at_once(local):
    path = local.place.workers / "w1.lock"
    handle = hold(path)
    local.write(WorkerStarted, worker_id="w1", host="here")
    assert local.wait(2) == 0
    os.close(handle)
    assert local.wait(0.5) == 1
    (expired,) = local.expiries()
    assert (expired.claim_id, expired.reason) == ("c1", "gone")
    assert local.world.workers["w1"].stopped.reason == "gone"
    assert not path.exists()
    assert local.wait(30) == 0


def test_a_child_of_the_worker_keeps_its_lock(local):
    path = local.place.workers / "w1.lock"
    handle = hold(path)
    child = os.dup(handle)
    local.write(WorkerStarted, worker_id="w1", host="here")
    os.close(handle)
    assert local.wait(2) == 0
    os.close(child)
    assert local.wait(0.5) == 1


def test_a_worker_without_claims_is_noted_as_gone(local):
    os.close(hold(local.place.workers / "w2.lock"))
    local.write(WorkerStarted, worker_id="w2", host="here")
    assert local.wait(1) == 0
    assert local.world.workers["w2"].stopped.reason == "gone"
    assert local.stage_status() == "running"


def test_a_lock_file_that_is_not_there_says_nothing(local):
    local.write(WorkerStarted, worker_id="w1", host="here")
    assert local.wait(5) == 0
    assert local.stage_status() == "running"


def test_a_worker_of_another_host_is_not_judged_by_a_file_here(local):
    os.close(hold(local.place.workers / "w1.lock"))
    local.write(WorkerStarted, worker_id="w1", host="there")
    assert local.wait(5) == 0


def test_a_claim_that_names_another_host_than_its_worker_is_not_ended_by_a_file(local):
    local.write(StageCompleted, **local.where, claim_id="c1")
    other = Office(local.place)
    other.write(
        StageLeaseExpired,
        **other.where,
        claim_id="c1",
        last_event_id=other.world.runs["r1"].live_claim.last_event_id,
        reason="released",
    )
    other.claim("c2", host="there")
    os.close(hold(other.place.workers / "w1.lock"))
    other.write(WorkerStarted, worker_id="w1", host="here")
    assert other.wait(1) == 0
    assert other.stage_status() == "running"


def test_the_file_of_a_worker_that_stopped_is_left_to_it(local):
    path = local.place.workers / "w1.lock"
    local.write(WorkerStarted, worker_id="w1", host="here")
    local.write(WorkerStopped, worker_id="w1", reason="drained")
    os.close(hold(path))
    assert local.wait(1) == 0
    assert path.exists()
