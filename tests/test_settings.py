from pathlib import Path

import pytest

from crucible.errors import DefinitionError, UsageError
from crucible.place import Place
from crucible.settings import load_settings


def test_without_a_file_the_log_lies_in_the_current_folder(tmp_path):
    settings = load_settings(start=tmp_path, environ={})
    assert settings.log == tmp_path / ".crucible"
    assert settings.output_dir == tmp_path / "artifacts" / "crucible"


def test_the_nearest_file_upward_decides_where_the_log_lies(tmp_path):
    (tmp_path / "crucible.toml").write_text('output_dir = "out"\njobs = 3\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = load_settings(start=below, environ={})
    assert settings.log == tmp_path / ".crucible"
    assert settings.output_dir == tmp_path / "out"
    assert settings.jobs == 3


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    (tmp_path / "crucible.toml").write_text("jobs = 3\nlease_ms = 5000\nadapter = 'a'\n")
    environ = {"CRUCIBLE_JOBS": "4", "CRUCIBLE_LEASE_MS": "6000"}
    settings = load_settings(start=tmp_path, environ=environ, jobs=5)
    assert (settings.jobs, settings.lease_ms, settings.adapter) == (5, 6000, "a")


def test_the_log_can_be_elsewhere(tmp_path):
    environ = {"CRUCIBLE_LOG": str(tmp_path / "there")}
    assert load_settings(start=tmp_path, environ=environ).log == tmp_path / "there"
    assert load_settings(start=tmp_path, environ={"CRUCIBLE_LOG": "here"}).log == tmp_path / "here"


def test_an_engine_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match="redis"):
        load_settings(start=tmp_path, environ={"CRUCIBLE_LOG": "redis://host:9092/prefix"})


def test_a_log_on_kafka_has_an_address_and_a_folder_of_what_is_made_from_it(tmp_path):
    settings = load_settings(start=tmp_path, environ={"CRUCIBLE_LOG": "kafka://host:9092/team"})
    assert (settings.log_address, settings.log_text) == ("kafka://host:9092/team", "kafka://host:9092/team")
    assert settings.log == tmp_path / ".crucible"


def test_every_problem_of_an_address_is_told(tmp_path):
    with pytest.raises(DefinitionError) as caught:
        load_settings(start=tmp_path, environ={"CRUCIBLE_LOG": "kafka://host,other:0/a b"})
    assert len(caught.value.problems) == 3


def test_an_output_folder_is_recorded_from_the_project_on_where_readers_have_other_projects(tmp_path):
    there = Place(tmp_path / ".crucible" / "an-id", log_address="kafka://host:9092/team")
    assert there.home == tmp_path
    assert there.recorded(tmp_path / "artifacts" / "crucible") == "artifacts/crucible"
    assert there.recorded(tmp_path.parent / "other") == str(tmp_path.parent / "other")
    assert Place(tmp_path / ".crucible").recorded(tmp_path / "artifacts") == str(tmp_path / "artifacts")


def test_every_problem_is_reported_at_once_with_the_nearest_name(tmp_path):
    (tmp_path / "crucible.toml").write_text("jbos = 3\nlease_ms = 1\noutput_dir = 7\n")
    with pytest.raises(DefinitionError) as caught:
        load_settings(start=tmp_path, environ={"CRUCIBLE_JOBS": "many"})
    text = str(caught.value)
    assert "jbos" in text
    assert "'jobs'" in text
    assert "lease_ms" in text
    assert "output_dir" in text
    assert "CRUCIBLE_JOBS" in text


def test_a_file_that_is_not_toml_is_named(tmp_path):
    (tmp_path / "crucible.toml").write_text("jobs = = 3")
    with pytest.raises(DefinitionError, match=r"crucible\.toml"):
        load_settings(start=tmp_path, environ={})


def test_settings_cost_no_heavy_import():
    import subprocess
    import sys

    code = "import crucible.settings, crucible.cli.main, sys; print([m for m in ('pydantic','numpy','duckdb','pyarrow','structlog','httpx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


def test_the_blobs_lie_beside_the_log_unless_they_are_elsewhere(tmp_path):
    assert load_settings(start=tmp_path, environ={}).blobs is None
    for text, blobs in (
        ("shared", str(tmp_path / "shared")),
        ("file:///mnt/shared", "/mnt/shared"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a/b c/", "s3://bucket/a/b c"),
    ):
        settings = load_settings(start=tmp_path, environ={"CRUCIBLE_BLOBS": text})
        assert settings.blobs == settings.place.blobs_address == blobs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gs://bucket/x", "no blob store for gs:// here; expected a folder, or s3://bucket/prefix"),
        ("s3://", "names no bucket"),
        ("s3://a", "names no bucket"),
        ("s3://me:opensesame@bucket/x", "holds a login or a port"),
        ("s3://host:9000/bucket", "holds a login or a port"),
        ("s3://bucket/a//b", "has a prefix that no store can have"),
        ("s3://bucket/../b", "has a prefix that no store can have"),
        ("s3://bucket/a?versionId=1", "has a prefix that no store can have"),
        ("https://me:opensesame@host/x", "no blob store for https://"),
    ],
)
def test_an_address_of_blobs_that_is_none_is_refused_and_no_login_is_shown(tmp_path, text, words):
    with pytest.raises(DefinitionError) as refused:
        load_settings(start=tmp_path, environ={"CRUCIBLE_BLOBS": text})
    (problem,) = refused.value.problems
    assert words in str(problem)
    assert "opensesame" not in str(problem)
