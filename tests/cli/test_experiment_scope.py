"""What commands say of stages that are done once: shown when asked for, never taken for a run of the grid."""

import json
import time

import pytest

from crucible.cli import control, query, show
from crucible.cli.compose import open_manager, open_reader
from crucible.cli.run import RunCall, run_experiment
from crucible.errors import UsageError
from crucible.lookup import find_run, find_runs, find_subject, runs_to_retry
from crucible.settings import load_settings

TIMEOUT_S = 20.0
SOURCE = """
import crucible as cr

@cr.stage(metrics={"acc": cr.metric(better="higher", unit="ratio")})
def fit(run, *, rate: float = 1.0):
    return {"acc": rate * (1 + run.rng("x").random() / 10)}

@cr.stage(scope="experiment")
def look(run):
    if FAILS:
        raise ValueError("looked badly")

experiment = cr.Experiment(
    "tiny", stages=[fit, look, "analysis"], parameters={"rate": [0.1, 0.2]}, repeat=3, select="acc",
)
"""


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Runs the experiment in a folder of its own; the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)

    def run(*, fails=False):
        (tmp_path / "tiny.py").write_text(SOURCE.replace("FAILS", repr(fails)))
        return run_experiment(RunCall("tiny.py"), jobs=1, output_dir=None)

    return run


def listed(capsys, **options):
    capsys.readouterr()
    given = {"where": None, "sort": None, "limit": 50, "form": "json"}
    query.list_runs(None, **{**given, **options})
    return [row["ref"] for row in json.loads(capsys.readouterr().out)]


def test_a_grid_and_its_analysis_from_the_command_line(ran, capsys):
    assert ran() == 0
    printed = capsys.readouterr().out
    assert "6 of 6 runs" in printed
    assert "tiny#1: 6 completed" in printed
    assert "analysis by acc:" in printed
    assert "r0p2 differs from the runner-up r0p1" in printed
    assert "after holm over 1 test" in printed
    check_listing(capsys)
    check_references()
    check_show(capsys)


def check_listing(capsys):
    assert len(listed(capsys)) == 6
    assert len(listed(capsys, is_all=True)) == 7
    assert listed(capsys, where="scope = experiment") == ["tiny#1/_experiment.1"]
    query.list_runs(None, where=None, sort=None, limit=50, form="table", is_all=True)
    assert "completed (experiment)" in capsys.readouterr().out


def check_references():
    with open_reader(load_settings()) as reader:
        assert find_run(reader, "@last").name == "tiny#1/r0p2.3"
        assert find_run(reader, "tiny@best").name.startswith("tiny#1/r0p2.")
        assert find_run(reader, "tiny#1/_experiment").name == "tiny#1/_experiment.1"
        assert find_run(reader, "tiny#1/_e").name == "tiny#1/_experiment.1"
        with pytest.raises(UsageError) as caught:
            find_run(reader, "tiny#1/")
        assert "_experiment" not in str(caught.value)


def check_show(capsys):
    capsys.readouterr()
    show.show("tiny#1", "table")
    printed = capsys.readouterr().out
    assert "6 completed" in printed
    assert "comparisons with r0p2, 1 of 1" in printed
    assert "r0p2 − r0p1  3 repeats" in printed
    show.show("tiny#1", "json")
    facts = json.loads(capsys.readouterr().out)
    assert [row["label_a"] for row in facts["comparisons"]] == ["r0p1"]
    assert {row["label"] for row in facts["rankings"]} == {"r0p1", "r0p2"}


def test_a_failed_analysis_is_exit_code_3_and_retry_runs_it_again(ran, capsys):
    assert ran(fails=True) == 3
    printed = capsys.readouterr().out
    assert "tiny#1: 6 completed" in printed
    assert "tiny#1/_experiment.1 failed: look: ValueError: looked badly" in printed
    assert control.retry("tiny#1", None, None) == 0
    assert "tiny#1/_experiment.1: will run again" in capsys.readouterr().out
    with open_manager(load_settings()) as (reader, sender):
        subject = find_subject(reader, "tiny#1")
        until(lambda: find_runs(reader, subject, ("pending", "running")) and is_open(reader))
        sender.cancel_submission("tiny", subject.id, "enough")
        until(lambda: find_runs(reader, subject, ("canceled",)))
        (canceled,) = find_runs(reader, subject, ("canceled",))
        assert canceled["ref"] == "tiny#1/_experiment.1"


def is_open(reader):
    return reader.rows("SELECT status FROM submissions")[0]["status"] == "running"


def until(is_so):
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_follows_the_grid_is_run_again_by_itself_only_if_nothing_else_is():
    def run(label, scope="run", submission="s1"):
        return {"label": label, "scope": scope, "submission_id": submission}

    after, before, grid = run("_experiment", "experiment"), run("_before", "experiment"), run("r1")
    other = run("_experiment", "experiment", "s2")
    assert runs_to_retry([after]) == [after]
    again = {**after, "label": "_analysis"}
    assert runs_to_retry([after, again, grid]) == [grid, again]
    assert runs_to_retry([after, grid, before, other]) == [before, grid, other]
