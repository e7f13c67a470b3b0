"""The services of docker-compose.yml work together: as processes, for there may be no engine for containers here."""

import json
import time

import pytest

from tests.deployment.processes import Deployment
from tests.deployment.reading import parts

WAIT_S = 120


def wait_until_healthy(deployment, name):
    _, _, *words = parts()[name]["healthcheck"]["test"]
    deadline = time.monotonic() + WAIT_S
    while True:
        assert deployment.processes[name].poll() is None, (deployment.folder / name / "output").read_text()
        try:
            return deployment.call(name, *words)
        except AssertionError:
            if time.monotonic() > deadline:
                raise


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_grid_that_is_submitted_beside_the_projector_is_run_by_the_workers(tmp_path):
    with Deployment(tmp_path) as deployment:
        for name in parts():
            wait_until_healthy(deployment, name)
        said = deployment.call("projector", "run", "examples/own_stage.py", "-j", "0")
        assert "15 completed" in said
        workers = deployment.call("projector", "sql", "SELECT DISTINCT worker_id FROM claims", "--format", "json")
        assert 1 <= len(json.loads(workers)) <= 2
        assert "fine" in deployment.call("projector", "verify")
        for name, process in deployment.processes.items():
            assert process.poll() is None, (tmp_path / name / "output").read_text()
            wait_until_healthy(deployment, name)
