"""Workers and the stores that blobs are in: who can't read what an attempt needs does not claim it."""

import pytest

from crucible.blobs import FolderBlobs, open_blobs_at
from crucible.records import ArtifactSaved, CheckpointSaved, RunCompleted, StageClaimed, StageCompleted, StageRequested
from tests.processors.workshop import Workshop

TWO_STAGES = """
    import crucible as cr

    @cr.stage(artifacts=["model"])
    def make(run):
        run.artifact("model", b"the model")

    @cr.stage(inputs={"model": "make.model"})
    def score(run, model):
        assert open(model, "rb").read() == b"the model"
        return {"read": 1.0}

    experiment = cr.Experiment("e", stages=[make, score])
"""
WITH_A_CHECKPOINT = """
    import time
    import crucible as cr

    @cr.stage
    def fit(run):
        if checkpoint := run.resume():
            return {"resumed_from": float(checkpoint.step), "size": float((checkpoint.path / "w").stat().st_size)}
        with run.checkpoint(7) as folder:
            (folder / "w").write_bytes(b"w" * 1000)
        while True:
            time.sleep(0.02)

    experiment = cr.Experiment("e", stages=[fit])
"""


@pytest.fixture(autouse=True)
def _asked_again_soon(monkeypatch):
    monkeypatch.setattr("crucible.processors.offers.REFUSAL_S", 0.2)


@pytest.fixture
def workshop(tmp_path, zygote, bucket):
    with Workshop(tmp_path, zygote, blobs_address=bucket.address) as made:
        yield made


def refusal(workshop, worker):
    """Why the worker does not claim the one run that there is."""
    workshop.until(lambda: worker.statistics().refused)
    (reason,) = worker.statistics().refused.values()
    return reason


def test_a_run_is_left_to_a_worker_that_has_its_blob_store(workshop, tmp_path):
    other = workshop.worker(blobs=FolderBlobs(tmp_path / "other"))
    workshop.submit(TWO_STAGES)
    assert f"it needs blob store {workshop.blobs.identify()}, this worker has another one" in refusal(workshop, other)
    assert workshop.events(StageClaimed) == []
    right = workshop.worker()
    workshop.wait(RunCompleted)
    assert {claimed.worker_id for claimed in workshop.events(StageClaimed)} == {right.worker_id}
    (saved,) = workshop.events(ArtifactSaved)
    assert workshop.blobs.get_bytes(saved.files[0]["sha256"]) == b"the model"
    assert list(FolderBlobs(tmp_path / "other")) == []


def test_a_checkpoint_is_resumed_from_by_the_worker_that_can_read_it(workshop, tmp_path, bucket):
    first = workshop.worker()
    workshop.submit(WITH_A_CHECKPOINT)
    workshop.wait(CheckpointSaved)
    other = workshop.worker(blobs=FolderBlobs(tmp_path / "other"))
    first.kill()
    assert "it needs blob store" in refusal(workshop, other)
    elsewhere = workshop.worker(blobs=open_blobs_at(bucket.address, tmp_path / "another cache"))
    (completed,) = workshop.wait(StageCompleted)
    assert {metric["name"]: metric["value"] for metric in completed.metrics} == {"resumed_from": 7, "size": 1000}
    claims = [claimed.worker_id for claimed in workshop.events(StageClaimed)]
    assert claims == [first.worker_id, elsewhere.worker_id]


def test_a_copy_of_the_store_that_lacks_an_input_is_not_enough(workshop, tmp_path):
    copy = FolderBlobs(tmp_path / "copy")
    copy.note("stores", workshop.blobs.identify())
    first = workshop.worker(blobs=workshop.blobs)
    workshop.submit(TWO_STAGES)
    workshop.wait(RunCompleted)
    first.stop.set()
    request = workshop.events(StageRequested)[1]
    lacking = workshop.worker(blobs=copy)
    assert f"it needs blob {request.blobs[0]}" in lacking._eligibility.problem(request, None)
    copy.put_bytes(b"the model")
    assert lacking._eligibility.problem(request, None) is None
