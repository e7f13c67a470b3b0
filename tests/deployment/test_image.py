"""The Dockerfile's steps, executed in a folder of their own, give a program that works."""

import fnmatch
import subprocess

import pytest

from tests.deployment.image import Image
from tests.deployment.reading import ROOT, dockerfile

INSTALLED_MIB_MAX = 650
"""What the image adds to its base; most of it are pyarrow, scipy and DuckDB."""


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return Image(tmp_path_factory.mktemp("image"))


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_steps_give_a_program_that_runs_an_experiment(image):
    assert "crucible" in image.call("--version")
    image.call("init", "minimal")
    assert "completed" in image.call("run", "experiment.py", "--smoke", "-j", "1")
    assert "fine" in image.call("verify")


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_image_has_what_a_cluster_needs_and_no_tools(image):
    python = image.root / "opt/crucible/bin/python"
    image.run(python, "-c", "import aiokafka, cramjam, httpx2, matplotlib, jinja2, s3fs")
    missing = "import importlib.util as u; print([n for n in ('pip','pytest','ruff','hatchling','confluent_kafka') if u.find_spec(n)])"
    assert image.run(python, "-c", missing).strip() == "[]"


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_image_is_no_larger_than_it_has_to_be(image):
    kib = int(subprocess.run(["du", "-sk", image.root], capture_output=True, text=True, check=True).stdout.split()[0])
    assert kib / 1024 < INSTALLED_MIB_MAX


def test_what_is_copied_is_not_ignored_and_what_is_ignored_is_not_copied():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    taken = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        name
        for stage in dockerfile()["Stages"]
        for step in stage["Steps"]
        if step["Name"] == "COPY" and not step["Step"]["From"]
        for name in step["Step"]["SourcePaths"]
    }
    assert copied == taken
    assert all((ROOT / name).exists() for name in copied)
    assert [line for line in lines[1:] if not line.startswith("!") and fnmatch.fnmatch("examples", line)] == []


def test_everything_that_is_installed_is_pinned_with_hashes():
    runs = [step["Text"] for stage in dockerfile()["Stages"] for step in stage["Steps"] if step["Name"] == "RUN"]
    for text in runs:
        if "requirements" in text:
            assert "--require-hashes" in text
            assert "--only-binary=:all:" in text
        elif "install " in text and "pip" in text:
            assert "--no-index" in text
