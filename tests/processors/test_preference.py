import collections

from crucible.processors.preference import Preference, point
from crucible.records import WorkerStarted
from crucible.rules.state import WorkerState
from tests.processors.test_offers import HEADER


def fleet(count):
    facts = {"host": "h", "pid": 1, "slots": 1, "queues": ["default"], "adapters": [], "crucible_version": "0"}
    ids = [f"worker-{number}" for number in range(count)]
    return {each: WorkerState(started=WorkerStarted(event_id=each, **HEADER, worker_id=each, **facts)) for each in ids}


def test_a_look_asks_one_worker_of_a_thousand_that_are_free():
    workers, preference, asked = fleet(1_000), Preference(), []

    def can_take(worker):
        asked.append(worker)
        return True

    chosen = [preference.first(point("run", number), workers, can_take) for number in range(500)]
    assert len(asked) == 500
    assert len(set(chosen)) > 250, "they spread over the workers"


def test_every_reader_sees_the_same_worker_and_no_worker_has_many_times_its_share():
    workers = fleet(20)
    reordered = dict(reversed(workers.items()))
    places = [point("run", number) for number in range(2_000)]
    mine, theirs = Preference(), Preference()
    chosen = [mine.first(place, workers, lambda _: True) for place in places]
    assert chosen == [theirs.first(place, reordered, lambda _: True) for place in places]
    counts = collections.Counter(chosen)
    assert len(counts) == 20
    assert max(counts.values()) < 3 * 2_000 / 20


def test_a_worker_that_can_not_take_it_is_passed_by_and_the_others_keep_what_is_theirs():
    workers, preference = fleet(10), Preference()
    places = [point("run", number) for number in range(200)]
    before = [preference.first(place, workers, lambda _: True) for place in places]
    gone = before[0]
    after = [preference.first(place, workers, lambda worker: worker.started.worker_id != gone) for place in places]
    assert all(one == other for one, other in zip(before, after, strict=True) if one != gone)
    left = {worker_id: worker for worker_id, worker in workers.items() if worker_id != gone}
    assert [preference.first(place, left, lambda _: True) for place in places] == after
    assert preference.first(places[0], workers, lambda _: False) is None
    assert preference.first(places[0], {}, lambda _: True) is None
