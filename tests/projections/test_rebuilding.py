"""Reading a log again from its beginning: few commits, and nothing in the model that depends on how many."""

import gc

import pytest

from crucible.projections import readmodel
from crucible.projections.collector import ALLOCATIONS, rare_collections
from tests.projections.content import content, query
from tests.projections.history import History, memory_journal


def some_submissions(journal, count):
    for number in range(1, count + 1):
        history = History(journal, submission=f"s{number}", number=number)
        history.submit(2)
        history.whole_run(f"{number}-a", repeat=1)
        history.whole_run(f"{number}-b", repeat=2, accuracy=0.9)
        history.close(2)


def test_a_model_that_is_far_behind_commits_seldom_and_holds_the_same(project, monkeypatch):
    journal = memory_journal()
    some_submissions(journal, 3)
    near = project(journal, "near", commit_interval_s=0.0)
    near.catch_up()
    monkeypatch.setattr(readmodel, "FAR_RECORDS", 10)
    monkeypatch.setattr(readmodel, "PAGE_ENTRIES", {"commands": 5, "events": 5, "telemetry": 5})
    far = project(journal, "far", commit_interval_s=0.0)
    far.catch_up()
    small = project(journal, "small", commit_rows=5)
    small.catch_up()
    assert content(far) == content(near) == content(small)
    assert far.statistics().commits < small.statistics().commits


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_every_submission_is_judged_however_many_at_once(project, monkeypatch, at_once):
    monkeypatch.setattr("crucible.projections.closing.JUDGED_AT_ONCE", at_once)
    journal = memory_journal()
    some_submissions(journal, 5)
    model = project(journal)
    model.catch_up()
    assert query(model, "SELECT submission_id, problem FROM judgements ORDER BY 1") == [
        (f"s{number}", None) for number in range(1, 6)
    ]
    assert query(model, "SELECT count(DISTINCT submission_id) FROM verdicts") == [(5,)]


def test_the_collector_is_as_before_after_a_rebuild(project):
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold()[0] == ALLOCATIONS
        with rare_collections():
            assert gc.get_threshold()[0] == ALLOCATIONS
        assert gc.get_threshold()[0] == ALLOCATIONS
    assert gc.get_threshold() == before
    journal = memory_journal()
    some_submissions(journal, 1)
    project(journal).catch_up()
    assert gc.get_threshold() == before


def test_a_collector_that_someone_has_stopped_stays_stopped():
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with rare_collections():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
