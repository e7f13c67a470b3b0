"""Folders are read by tools that know nothing of Crucible, and all read the same numbers."""

import json
import os
import shutil
import subprocess

import duckdb
import pytest

from crucible.place import Place
from tests.projections.damages import prepare

POINTS = [3.0, 2.0, 1.0, 0.5]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("foreign") / ".crucible")
    prepare(place)
    return place.root.parent / "out/digits/001-lr0.2"


def test_pandas_reads_the_lines_of_a_folder(folder):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    metrics = pandas.read_json(folder / "metrics.jsonl", lines=True)
    assert [point["train/loss"] for point in metrics["metrics"]] == POINTS
    telemetry = pandas.read_json(folder / "telemetry.jsonl", lines=True)
    assert list(telemetry["event_name"]) == ["MetricBatch", "MetricBatch"]
    assert pandas.read_json(folder / "checkpoints.jsonl", lines=True)["step"].tolist() == [3]


def test_duckdb_reads_the_lines_of_a_folder(folder):
    values = duckdb.sql(
        f"SELECT metrics.\"train/loss\" FROM read_json('{folder}/metrics.jsonl') ORDER BY step"
    ).fetchall()
    assert [value for (value,) in values] == POINTS
    (manifest,) = duckdb.sql(f"SELECT run_id, len(files) FROM read_json('{folder}/manifest.json')").fetchall()
    assert manifest == ("r2", 5)


def test_jq_reads_the_lines_of_a_folder(folder):
    if shutil.which("jq") is None:
        assert os.environ.get("CI") != "true", "jq is missing: .ci/run installs it"
        pytest.skip("jq is not installed")
    assert [float(line) for line in jq('.metrics["train/loss"]', folder / "metrics.jsonl")] == POINTS
    assert jq(".files[].path", folder / "manifest.json") == sorted(
        json.dumps(str(path.relative_to(folder)))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    )


def jq(program, path):
    done = subprocess.run(["jq", "-c", program, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
