from crucible.processors.follower import Follower
from crucible.records import WorkerStarted, WorkerStopped
from tests.processors.journals import Cluster

WORKERS = 200


def test_a_follower_that_starts_on_a_long_log_holds_a_page_of_it_at_a_time():
    cluster = Cluster(partitions=1)
    writer, reader = cluster.journal(), cluster.journal()
    facts = {"host": "h", "pid": 1, "slots": 1, "queues": [], "adapters": [], "crucible_version": "0"}
    for number in range(WORKERS):
        writer.append(writer.make(WorkerStarted, worker_id=f"w{number}", **facts))
    pages = []
    read = reader.read
    reader.read = lambda *where: pages.append(read(*where)) or pages[-1]
    follower = Follower(reader, ("events",))
    noted = []
    follower.catch_up(lambda _: noted.append((len(pages), len(follower.world.workers))))
    assert [known for _, known in noted] == list(range(1, WORKERS + 1)), "each is told once it is folded"
    assert len(pages) > 3
    assert noted[0][0] == 1, "the first record was told before the second page was read"


def test_workers_that_are_gone_are_not_among_those_that_are_there():
    cluster = Cluster(partitions=1)
    writer = cluster.journal()
    facts = {"host": "h", "pid": 1, "slots": 1, "queues": [], "adapters": [], "crucible_version": "0"}
    follower = Follower(writer, ("events",))
    writer.append(writer.make(WorkerStarted, worker_id="a", **facts))
    writer.append(writer.make(WorkerStarted, worker_id="b", **facts))
    follower.catch_up()
    before = follower.world.present
    writer.append(writer.make(WorkerStopped, worker_id="a", reason="drained"))
    follower.catch_up()
    assert (list(before), list(follower.world.present)) == (["a", "b"], ["b"])
    assert set(follower.world.workers) == {"a", "b"}
