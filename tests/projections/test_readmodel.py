"""The read model as a whole: what is in it, and that nothing but the records decides that."""

import itertools
import threading

import pytest

from crucible.position import Position
from crucible.projections.aggregates import Aggregates
from tests.projections.content import content, query
from tests.projections.history import History, memory_journal


def write_all(journal):
    history = History(journal)
    history.submit(4)
    for repeat in (1, 2):
        history.whole_run(f"a{repeat}", cell=0, repeat=repeat, losses=[3.0 / repeat, 1.0, 2.0])
    history.takeover("b1")
    history.create("b2", cell=1, repeat=2)
    history.start("b2")
    history.request("b2")
    history.claim("b2", "b2-c1")
    history.points("b2", "b2-c1", [float("nan"), float("inf"), 1.0])
    history.add("TagsChanged", subject_kind="run", subject_id="a1", added=["good", "odd"])
    history.add("TagsChanged", subject_kind="run", subject_id="a1", removed=["odd"])
    history.add("TagsChanged", subject_kind="submission", subject_id="s1", added=["first"])
    history.add("NoteAdded", subject_kind="run", subject_id="a1", text="look")
    history.add("CancelRun", run_id="b2", reason="enough")
    history.add("PermitGranted", limit="l", capacity=1, holder="a1", grant=1)
    history.add("PermitReleased", limit="l", holder="a1", grant=1)
    history.add("WorkerStarted", worker_id="w1", host="here", pid=7, slots=2, queues=["default"])
    history.add("MarkSet", name="before", position="events=0:3")
    return history


def test_the_interleaving_of_partitions_decides_nothing(project):
    journals = [memory_journal(partitions, seed) for partitions, seed in ((1, 0), (3, 1), (3, 2), (4, 3))]
    found = []
    for number, journal in enumerate(journals):
        write_all(journal)
        model = project(journal, f"model{number}")
        model.catch_up()
        found.append(content(model))
    for other in found[1:]:
        other["events"] = found[0]["events"]  # LogCreated differs: it is of another log
        assert other == found[0]


def test_the_size_of_commits_and_restarts_decide_nothing(project):
    journal = memory_journal(2)
    write_all(journal)
    whole = project(journal, "whole")
    whole.catch_up()
    wanted = content(whole)
    small = project(journal, "small", commit_rows=1)
    small.catch_up()
    assert content(small) == wanted


def test_a_restart_after_each_record_decides_nothing(project):
    journal = memory_journal()
    history = History(journal)
    history.submit(2)
    restarted = project(journal, "restarted")

    class Restarting(History):
        def add(self, name, /, **fields):
            nonlocal restarted
            record = super().add(name, **fields)
            restarted.catch_up()
            restarted.close()
            restarted = project(journal, "restarted")
            return record

    again = Restarting(journal, make=history.make)
    again.whole_run("a1")
    again.takeover("b1")
    again.add("TagsChanged", subject_kind="submission", subject_id="s1", added=["first"])
    again.close(2)
    restarted.catch_up()
    whole = project(journal, "whole")
    whole.catch_up()
    assert content(restarted) == content(whole)


def folded_again(monkeypatch):
    """The keys whose state is folded again from now on."""
    keys = []
    fold_again = Aggregates._fold_again
    monkeypatch.setattr(
        Aggregates, "_fold_again", lambda self, missing: (keys.extend(missing), fold_again(self, missing))
    )
    return keys


def test_runs_beyond_those_kept_in_memory_are_folded_again(project, monkeypatch):
    monkeypatch.setattr("crucible.projections.aggregates.KEYS_MAX", 1)
    journal = memory_journal()
    history = History(journal)
    history.submit(3)
    for run in ("a", "b", "c"):
        history.create(run)
    small = project(journal, "small", commit_rows=1)
    small.catch_up()
    again = folded_again(monkeypatch)
    for run in ("a", "b", "c", "a"):
        history.add("NoteAdded", subject_kind="run", subject_id=run, text="x")
        history.start(run)
        history.points(run, f"{run}-c1", [1.0])
        small.catch_up()
    assert [key for key, _ in itertools.groupby(again) if key in {"a", "b", "c"}] == ["a", "b", "c", "a"]
    whole = project(journal, "whole")
    whole.catch_up()
    assert content(small) == content(whole)


def test_a_takeover_counts_each_step_once(project):
    history = History()
    history.submit()
    history.takeover("r1")
    model = project(history.journal)
    model.catch_up()
    effective = query(model, "SELECT step, value FROM metrics_effective ORDER BY step")
    assert effective == [(1, 10.0), (2, 9.0), (3, 8.0), (4, 7.0), (5, 6.0), (6, 5.0)]
    assert query(model, "SELECT step, value FROM metrics WHERE NOT is_effective") == [(5, -99.0)]
    (summary,) = query(model, "SELECT n, first, last, min, max, best, best_step FROM metric_summary")
    assert summary == (6, 10.0, 5.0, 5.0, 10.0, 5.0, 6)


def test_a_summary_follows_a_takeover_that_supersedes_points_already_counted(project):
    history = History()
    history.submit()
    model = project(history.journal)
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.points("r1", "c1", [10.0, 9.0])
    saved = history.checkpoint("r1", "c1", 2)
    history.points("r1", "c1", [-99.0], first_step=3)
    model.catch_up()
    assert query(model, "SELECT n, min FROM metric_summary") == [(3, -99.0)]
    history.expire(saved, "r1")
    history.claim("r1", "c2")
    model.catch_up()
    assert query(model, "SELECT n, min FROM metric_summary") == []
    history.resume(saved, "r1")
    history.points("r1", "c2", [8.0], first_step=3)
    model.catch_up()
    assert query(model, "SELECT n, min, last_step FROM metric_summary") == [(3, 8.0, 3)]


def test_repeated_and_overlapping_batches_are_trimmed_by_sequence(project):
    history = History()
    history.submit()
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.points("r1", "c1", [1.0, 2.0, 3.0])
    history.points("r1", "c1", [1.0, 2.0, 3.0], first=0)
    history.points("r1", "c1", [3.0, 4.0], first=2, first_step=3)
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT step, value FROM metrics ORDER BY sequence") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert model.accounting()["telemetry"].void == 1
    history.points("r1", "c1", [4.0, 5.0], first=3, first_step=4)
    model.close()
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT count(*), max(step) FROM metrics") == [(5, 5)]


def test_telemetry_may_come_before_its_run(project):
    history = History()
    history.points("r1", "c1", [2.0, 1.0])
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT count(*) FROM metrics WHERE NOT is_effective") == [(2,)]
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    model.catch_up()
    assert query(model, "SELECT count(*) FROM metrics_effective") == [(2,)]
    assert query(model, "SELECT n, best, best_step FROM metric_summary") == [(2, 1.0, 2)]


def test_values_that_are_no_numbers_are_kept_and_left_out_of_extremes(project):
    nan, inf = float("nan"), float("inf")
    history = History()
    history.submit()
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.points("r1", "c1", [nan, 2.0, inf, 1.0, -inf])
    model = project(history.journal)
    model.catch_up()
    assert (
        repr(query(model, "SELECT value FROM metrics ORDER BY sequence")) == "[(nan,), (2.0,), (inf,), (1.0,), (-inf,)]"
    )
    (row,) = query(model, "SELECT n, nonfinite, first, last, min, min_step, max, max_step FROM metric_summary")
    assert repr(row) == "(5, 3, nan, -inf, 1.0, 4, 2.0, 2)"


def test_void_events_are_kept_counted_and_shown(project):
    history = History()
    history.submit()
    history.create("r1")
    history.start("r1")
    history.start("r1")
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT type, void_reason FROM events WHERE is_void") == [("RunStarted", "the run has started")]
    assert model.accounting()["events"].void == 1
    assert query(model, "SELECT status FROM runs") == [("running",)]


def test_a_repeated_command_is_one_command(project):
    history = History()
    command = history.add("CancelRun", run_id="r1", reason="enough")
    history.journal.append(command)
    model = project(history.journal)
    model.catch_up()
    history.journal.append(command)
    model.catch_up()
    assert query(model, "SELECT command_id, answer FROM commands") == [(command.event_id, None)]
    assert model.accounting()["commands"].void == 2


def test_an_answer_may_come_before_its_command(project):
    history = History()
    history.add("CommandObsolete", command_id="x1", command_type="CancelRun", subject_id="r1", reason="it has ended")
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT * FROM commands") == []
    history.journal.append(history.make("CancelRun", event_id="x1", run_id="r1"))
    model.catch_up()
    assert query(model, "SELECT command_id, answer, reasons FROM commands") == [("x1", "obsolete", '["it has ended"]')]


def test_what_was_appended_is_what_became_of_it(project):
    journal = memory_journal(2)
    write_all(journal)
    model = project(journal)
    before = model.accounting()
    assert before["events"].pending == before["events"].appended > 0
    model.catch_up()
    for topic, account in model.accounting().items():
        parts = account.projected + account.void + account.skipped + account.dead + account.purged
        assert account.appended == parts + account.pending, topic
        assert account.pending == 0, topic
    assert model.statistics().lag_records == 0


def test_views_show_permits_workers_and_marks(project):
    journal = memory_journal()
    write_all(journal)
    model = project(journal)
    model.catch_up()
    assert query(model, "SELECT limit_name, holder, grant, capacity, released_at > granted_at FROM permits") == [
        ("l", "a1", 1, 1, True)
    ]
    assert query(model, "SELECT worker_id, pid, slots, stopped_at FROM workers") == [("w1", 7, 2, None)]
    assert query(model, "SELECT name, position FROM marks") == [("before", "events=0:3")]
    assert query(model, "SELECT subject_id, tag FROM tags ORDER BY ALL") == [("a1", "good"), ("s1", "first")]


def test_a_thread_follows_the_log_and_can_be_waited_for(project):
    journal = memory_journal()
    model = project(journal, commit_interval_s=60.0)
    stop = threading.Event()
    thread = threading.Thread(target=model.run, args=(stop,))
    thread.start()
    try:
        write_all(journal)
        end = Position({(topic, 0): journal.log.end(topic, 0) for topic in ("commands", "events", "telemetry")})
        assert model.wait_for(end, 30.0)
        assert not model.wait_for(Position({("events", 0): 10_000}), 0.01)
    finally:
        stop.set()
        thread.join()
    assert query(model, "SELECT count(*) FROM runs") == [(4,)]
    assert model.statistics().lag_records == 0


@pytest.mark.parametrize("table", ["events", "points", "runs"])
def test_a_killed_commit_leaves_the_model_of_the_commit_before(project, monkeypatch, table):
    journal = memory_journal()
    history = write_all(journal)
    model = project(journal)
    model.catch_up()
    wanted, position = content(model), model.position
    history.whole_run("late")

    class KilledError(BaseException):
        pass

    def killed(*_):
        raise KilledError

    target = {"events": "Spools.write", "points": "RunTables.write", "runs": "Projection._position_rows"}[table]
    module = {"Spools.write": "spools", "RunTables.write": "run_tables"}.get(target, "projection")
    monkeypatch.setattr(f"crucible.projections.{module}.{target}", killed)
    with pytest.raises(KilledError):
        model.catch_up()
    monkeypatch.undo()
    model.close()
    model = project(journal)
    assert (content(model), model.position) == (wanted, position)
    model.catch_up()
    assert query(model, "SELECT status FROM runs WHERE run_id = 'late'") == [("completed",)]
