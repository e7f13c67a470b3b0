"""Digests, marks and the state of a moment from the command line, with and without a living engine."""

import json

from tests.acceptance.conftest import QUICK, SLOW


def _digests(project, *arguments):
    return json.loads(project.run("digest", *arguments, "--format", "json").stdout)


def test_a_mark_names_a_state_that_every_question_can_be_asked_of(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    before = project.run("show", "quick#1", "--format", "json").stdout
    marked = project.run("mark", "first").stdout
    assert marked.startswith("mark:first is commands=0:")
    then = _digests(project)
    project.run("run", "quick.py", "--new")
    project.run("tag", "quick#1", "late")
    assert project.run("show", "quick#1", "--as-of", "mark:first", "--format", "json").stdout == before
    count = "select count(*) n from runs"
    assert json.loads(project.run("sql", count, "--as-of", "mark:first", "--format", "json").stdout) == [{"n": 4}]
    assert project.sql(count) == [{"n": 8}]
    assert "quick#2" not in project.run("ls", "--as-of", "mark:first").stdout
    assert "quick#1/x0p25.1  completed" in project.run("ls", "--as-of", "run:quick#1/x0p25.1").stdout
    past = _digests(project, "--as-of", "mark:first")
    assert past["result"]["digest"] == then["result"]["digest"]
    assert past["log"]["records"] < _digests(project)["log"]["records"]
    again = project.run("mark", "first", code=2).stderr
    assert "the mark 'first' stands at" in again


def test_two_executions_have_one_result_digest_and_a_read_model_that_is_made_again_its_model_digest(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    project.run("run", "quick.py", "--new")
    one, other = (_digests(project, reference)["result"] for reference in ("quick#1", "quick#2"))
    assert one == other
    assert one["runs"] == 4
    project.write("quick.py", QUICK.replace("x + run.repeat / 1000", "x + run.repeat / 1001"))
    project.run("run", "quick.py", "--new")
    assert _digests(project, "quick#3")["result"]["digest"] != one["digest"]
    before = _digests(project, "--tables")
    for path in (project.folder / ".crucible").glob("readmodel.duckdb*"):
        path.unlink()
    assert _digests(project, "--tables") == before
    lines = project.run("digest", "--excluded").stdout
    assert [line.split()[0] for line in lines.splitlines()[:3]] == ["log", "model", "result"]
    assert "runs.run_no" in lines
    assert "the clock decides" in lines


def test_a_living_engine_is_asked_for_digests_and_the_past_needs_no_engine(project):
    project.write("slow.py", SLOW)
    project.hold()
    running = project.start("run", "slow.py")
    project.wait_for("select count(*) n from claims where status = 'live'", lambda rows: rows and rows[0]["n"])
    found = _digests(project)
    position = found["position"]
    assert _digests(project, "--as-of", position)["model"] == found["model"]
    assert _digests(project, "--as-of", position)["log"] == found["log"]
    assert found["result"]["digest"] is None
    refused = project.run("ls", "--as-of", "run:slow#1", code=2).stderr
    assert "slow#1/" in refused
    assert "has not ended" in refused
    project.run("cancel", "slow#1")
    assert running.wait(60) == 4


def test_what_is_no_moment_is_refused_in_one_line(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py", "--smoke")
    for moment in ("yesterday", "mark:none", "report:none", "run:none", "events=0:99999", "events=0:1,9:1+dead=0:0"):
        done = project.run("ls", "--as-of", moment, code=2)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
