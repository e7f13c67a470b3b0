"""What follows when something has ended: verdicts and a snapshot; each once, and again after a kill."""

import subprocess
import sys
import threading

import pytest

from crucible.errors import ReadModelError
from crucible.statistics.inputs import Judgement
from tests.projections.content import content, query
from tests.projections.ended import folder_of, two_runs
from tests.projections.history import History, memory_journal


def test_a_submission_is_judged_when_it_is_closed_and_all_its_runs_are_here(open_model):
    history = two_runs(is_closed=False)
    model = open_model(history.journal)
    model.catch_up()
    assert query(model, "SELECT * FROM judgements") == []
    assert query(model, "SELECT metric, at_least, status FROM targets") == [("test/accuracy", 0.9, None)]
    history.close(2)
    model.catch_up()
    assert query(model, "SELECT submission_id, generation, selected_cell, problem FROM judgements") == [
        ("s1", 1, 0, None)
    ]
    (verdict,) = query(model, "SELECT metric, at_least, status, value, n, is_selected FROM targets")
    assert verdict == ("test/accuracy", 0.9, "missed", pytest.approx(2 / 3), 2, True)
    (best,) = query(model, "SELECT number, kind, sentence FROM findings")
    assert best[:2] == (1, "best")


def test_a_submission_waits_for_telemetry_below_the_end_marks(open_model):
    history = History()
    history.submit(1)
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.complete("r1", "c1", telemetry_end={"c1.m": 2})
    history.finish("r1")
    history.close(1)
    model = open_model(history.journal)
    model.catch_up()
    assert query(model, "SELECT status, is_complete FROM runs") == [("completed", False)]
    assert query(model, "SELECT * FROM judgements") == []
    history.points("r1", "c1", [1.0])
    model.close()
    model = open_model(history.journal)
    model.catch_up()
    assert query(model, "SELECT is_complete FROM runs") == [(False,)]
    history.points("r1", "c1", [2.0])
    model.catch_up()
    assert query(model, "SELECT is_complete FROM runs") == [(True,)]
    assert len(query(model, "SELECT * FROM judgements")) == 1


def test_a_reopened_submission_is_judged_again_at_its_next_end(open_model):
    history = two_runs()
    model = open_model(history.journal)
    model.catch_up()
    history.add("SubmissionReopened", submission_id="s1", experiment="digits", generation=2)
    history.add("RunReopened", run_id="r1", generation=2, from_stage="score")
    model.catch_up()
    assert query(model, "SELECT status FROM targets") == [(None,)]
    history.start("r1", 2)
    history.request("r1", "score", 2, 2)
    history.claim("r1", "r1-c3", "score", 2)
    history.complete("r1", "r1-c3", "score", {"test/accuracy": 1.0}, attempt=2)
    history.finish("r1", 2)
    history.close(2, generation=2)
    model.catch_up()
    assert query(model, "SELECT generation FROM judgements") == [(2,)]
    assert query(model, "SELECT value FROM targets") == [(pytest.approx((1.0 + 2 / 3) / 2),)]


def test_a_judge_that_fails_is_noted_and_stops_nothing(open_model):
    def broken(_submission):
        message = "division by zero"
        raise ZeroDivisionError(message)

    history = two_runs()
    model = open_model(history.journal, judge=broken)
    model.catch_up()
    assert query(model, "SELECT problem FROM judgements") == [("ZeroDivisionError: division by zero",)]
    history.whole_run("r3")
    model.catch_up()
    assert query(model, "SELECT count(*) FROM runs") == [(3,)]


def test_the_judge_gets_runs_metrics_and_the_items_of_single_runs(open_model):
    given = []

    def judge(submission):
        from crucible.statistics.verdicts import judge

        given.append(submission)
        return judge(submission)

    history = History()
    history.submit(1)
    history.whole_run("r1", scores=[1.0, 0.0, 1.0])
    history.journal.append(history.make("SubmissionClosed", submission_id="s1", experiment="digits", generation=1))
    model = open_model(history.journal, judge=judge)
    model.catch_up()
    (submission,) = given
    assert (submission.select, submission.margin) == ("val/accuracy", 0.05)
    assert submission.metrics["test/accuracy"].split == "test"
    assert submission.metrics["val/accuracy"].better == "higher"
    assert [(target.metric, target.at_least, target.at_most) for target in submission.targets] == [
        ("test/accuracy", 0.9, None)
    ]
    (run,) = submission.runs
    assert run.params == {"fit.learning_rate": 0.01, "fit.kind": "adam"}
    assert run.metrics == {"val/accuracy": 0.8, "test/accuracy": pytest.approx(2 / 3), "train/loss": 1.0}
    assert run.items == {}  # the stage gave the number itself: its items say nothing of it


def test_the_items_of_a_mean_score_are_those_that_count(open_model):
    given = []

    def judge(submission):
        given.append(submission)
        return Judgement((), (), None)

    history = History()
    history.submit(1)
    history.create("r1", stages=("score",))
    history.start("r1")
    history.request("r1", "score")
    history.claim("r1", "c2", "score")
    history.predictions("r1", "c2", [1.0, 0.0, 0.5])
    history.predictions("r1", "c2", [0.0], split="other")
    history.complete("r1", "c2", "score", {"test/accuracy": 0.5}, definition="mean_score(test)")
    history.finish("r1")
    history.close(1)
    open_model(history.journal, judge=judge).catch_up()
    (run,) = given[0].runs
    scores = run.items["test/accuracy"]
    assert (scores.count, scores.total, scores.squares, scores.is_binary) == (3, 1.5, 1.25, False)


def test_a_thread_judges_writes_and_publishes_and_is_done_when_it_returns(open_model, place):
    journal = memory_journal()
    model = open_model(journal)
    stop = threading.Event()
    thread = threading.Thread(target=model.run, args=(stop,))
    thread.start()
    two_runs(journal)
    model.wait_for(model_end(journal), 30)
    stop.set()
    thread.join()
    assert len(query(model, "SELECT * FROM mirrors WHERE problem IS NULL")) == 3
    assert (folder_of(place) / "manifest.json").exists()
    assert (place.snapshots / "latest.duckdb").exists()


def model_end(journal):
    from crucible.position import Position
    from crucible.projections.identity import log_ends

    return Position(log_ends(journal))


def test_a_snapshot_is_read_by_another_process_while_the_model_goes_on(open_model, place):
    history = two_runs()
    model = open_model(history.journal)
    model.settle()
    history.whole_run("r3")
    first = model.snapshots.take()

    latest = place.snapshots / "latest.duckdb"
    asked = "(SELECT count(*) FROM metrics), (SELECT string_agg(run_id ORDER BY run_id) FROM runs)"
    assert elsewhere(latest, asked) == "(5, 'r1,r2')"
    model.catch_up()
    second = model.snapshots.take()
    assert elsewhere(latest, asked) == "(8, 'r1,r2,r3')"
    assert first.path != second.path
    assert second.position == str(model.position)
    assert "lock" in elsewhere(place.read_model, asked)


def elsewhere(path, columns):
    """What another process reads from a DuckDB file, or why it can't."""
    code = (
        "import duckdb, sys\n"
        "try:\n"
        "    with duckdb.connect(sys.argv[1], read_only=True) as connection:\n"
        "        print(connection.execute('SELECT ' + sys.argv[2]).fetchone())\n"
        "except duckdb.Error as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), columns], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_snapshots_that_nobody_asked_for_keep_their_distance(open_model, place):
    from crucible.projections.snapshot import Snapshots

    now = [0.0]
    history = two_runs()
    model = open_model(history.journal)
    model.catch_up()
    snapshots = Snapshots(model, place, monotonic=lambda: now[0])
    assert snapshots.take_if_due() is None
    now[0] = 61.0
    assert snapshots.take_if_due() is not None
    now[0] = 1000.0
    assert snapshots.take_if_due() is None
    history.whole_run("r3")
    model.catch_up()
    assert snapshots.take_if_due() is not None
    for _ in range(3):
        snapshots.take()
    assert len(list(place.snapshots.glob("readmodel-*.duckdb"))) == 2


def test_a_snapshot_that_cant_be_made_says_why_and_leaves_the_last_one(open_model, place, monkeypatch):
    model = open_model(two_runs().journal)
    model.catch_up()
    taken = model.snapshots.take()
    monkeypatch.setattr("crucible.projections.snapshot._COPY", "raise OSError(28, 'No space left on device')")
    with pytest.raises(ReadModelError, match="No space left on device"):
        model.snapshots.take()
    assert (place.snapshots / "latest.duckdb").resolve() == taken.path.resolve()
    assert query(model, "SELECT count(*) FROM runs") == [(2,)]


def test_a_snapshot_that_cant_be_made_stops_nothing(open_model, place, monkeypatch):
    monkeypatch.setattr("crucible.projections.snapshot._COPY", "raise OSError(28, 'No space left on device')")
    model = open_model(two_runs().journal)
    model.settle()
    assert len(query(model, "SELECT * FROM mirrors WHERE problem IS NULL")) == 3
    assert not (place.snapshots / "latest.duckdb").exists()


def test_a_rebuilt_model_says_the_same(open_model, place):
    history = two_runs()
    model = open_model(history.journal)
    model.settle()
    wanted = content(model)
    model.close()
    place.read_model.unlink()
    model = open_model(history.journal)
    model.settle()
    assert content(model) == wanted
