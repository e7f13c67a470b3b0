"""No broker answers for three leases: training goes on, nothing that it logs is lost, and nobody else begins it again."""

import itertools
import json
import time

import pytest

from tests.acceptance.conftest import Project
from tests.kafka.conftest import missing
from tools.kafka import Cluster, NoKafkaError

OUTAGE_S = 45.0
GAP_S_MAX = 2.0
"""Between two steps of a stage that goes on; each sleeps for a tenth of a second."""
LOG_US_MAX = 2_000.0
"""Half of all calls of ``log`` take less, on a machine that does other things as well; a microsecond is usual."""
STEADY = """
import statistics, time
import crucible as cr

@cr.stage(metrics={"log_us": cr.metric(unit="us", better="lower")})
def tick(run: cr.Run, *, steps: int = 900) -> dict[str, float]:
    took = []
    for step, _ in run.steps(range(steps)):
        started = time.perf_counter()
        run.log({"tick": float(step)}, step=step)
        took.append((time.perf_counter() - started) * 1e6)
        time.sleep(0.1)
    return {"log_us": statistics.median(took)}

experiment = cr.Experiment("steady", stages=[tick])
"""


@pytest.fixture
def cluster():
    """A node of one's own: it is stopped on the way."""
    try:
        started = Cluster.start()
    except NoKafkaError as error:
        missing(str(error))
    with started:
        yield started


def rows(project, sql):
    return json.loads(project.run("sql", sql, "--format", "json").stdout)


@pytest.mark.timeout(420)
def test_a_stage_outlives_an_outage_of_three_leases(cluster, tmp_path):
    project = Project(tmp_path / "user")
    project.write("steady.py", STEADY)
    project.environ["CRUCIBLE_LOG"] = f"kafka://{cluster.bootstrap}/outage"
    running = project.start("run", "steady.py", "-j", "1")
    until = time.monotonic() + 60
    while not list(project.folder.glob(".crucible/*/spool/*")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until, "the stage has not begun"
        time.sleep(0.2)
    cluster.kill(1)
    began_s = time.time()
    time.sleep(OUTAGE_S)
    assert running.poll() is None, running.communicate()
    ended_s = time.time()
    cluster.restart(1)
    printed, _ = running.communicate(timeout=240)
    assert running.returncode == 0, printed

    (count,) = rows(project, "select count(*) as points, count(distinct step) as steps, max(step) as last from points")
    assert count == {"points": 900, "steps": 900, "last": 900}
    assert rows(project, "select count(*) as claims from claims") == [{"claims": 1}]
    times = [row["at"] for row in rows(project, "select epoch(time) as at from points order by step")]
    during = [at for at in times if began_s < at < ended_s]
    assert len(during) > OUTAGE_S
    assert max(after - before for before, after in itertools.pairwise(times)) < GAP_S_MAX
    (median,) = rows(project, "select value from result_metrics where name = 'log_us'")
    assert median["value"] < LOG_US_MAX
    assert project.run("verify").stdout.count(" fine ") == 9
