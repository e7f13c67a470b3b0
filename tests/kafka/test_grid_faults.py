import random

import pytest

from tests.kafka.conftest import missing
from tests.kafka.grid_faults import Plan, run
from tools.kafka import Cluster, NoKafkaError


@pytest.mark.timeout(420)
def test_a_grid_comes_through_a_killed_and_a_paused_broker_and_a_killed_worker(tmp_path):
    try:
        cluster = Cluster.start(nodes=3)
    except NoKafkaError as error:
        missing(str(error))
    with cluster:
        assert run(tmp_path, cluster, Plan(leader_kills=1, restarts=0, pauses=1, worker_kills=1), seed=1) == []


def test_the_trouble_is_shuffled_and_all_there():
    plan = Plan(leader_kills=3, restarts=2, pauses=1, worker_kills=4)
    order = plan.order(random.Random(1))
    assert order != plan.order(random.Random(2))
    assert sorted(order) == ["leader_kills"] * 3 + ["pauses"] + ["restarts"] * 2 + ["worker_kills"] * 4
