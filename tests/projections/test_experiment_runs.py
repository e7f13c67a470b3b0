"""Runs of scope experiment in the read model: shown as what they are, counted by nothing, their findings as rows."""

import pytest

from crucible.projections.judging import judge_by_statistics
from tests.projections.content import query
from tests.projections.history import History

COMPARISON = {
    "metric": "val/accuracy",
    "cell_a": 0,
    "label_a": "lr0",
    "cell_b": 1,
    "label_b": "lr1",
    "pairing": "repeat",
    "n": 10,
    "mean_a": 0.9,
    "mean_b": 0.8,
    "difference": 0.1,
    "low": 0.05,
    "high": 0.15,
    "level": 0.95,
    "p": 0.01,
    "p_adjusted": 0.02,
    "correction": "holm",
    "family": 2,
    "effect_name": "hedges_g_z",
    "effect": 1.5,
    "effect_low": 0.5,
    "effect_high": 2.5,
    "d_z": 1.6,
    "method": "paired t",
    "status": "ok",
    "reason": None,
}
RANKING = {
    "metric": "val/accuracy",
    "cell_index": 0,
    "label": "lr0",
    "n": 10,
    "mean": 0.9,
    "low": 0.85,
    "high": 0.95,
    "level": 0.95,
    "p_best": 0.7,
    "resamples": 1000,
}


class Analysed(History):
    """A grid of one completed run, and what followed it."""

    def grid(self):
        self.submit()
        self.whole_run()
        return self

    def whole_run(self):
        self.create(stages=("fit",))
        self.start()
        self.request()
        self.claim()
        self.add("StageCompleted", **self.where("r1", "c1", "fit", 1), metrics=[])
        self.add("RunCompleted", run_id="r1", generation=1)

    def analysis(self, number=1, end="StageCompleted", claims=("a1",)):
        run = f"x{number}"
        fields = {"scope": "experiment", "label": "_experiment", "repeat": number, "params": {}}
        self.create(run, cell=-1, stages=("compare",), **fields)
        self.start(run)
        self.request(run, "compare")
        for name in claims:
            claim = f"{name}-{number}"
            where = self.where(run, claim, "compare", 1)
            self.claim(run, claim, "compare")
            found = self.add("CellsCompared", **where, part=1, parts=1, comparisons=[COMPARISON], rankings=[RANKING])
            if name != claims[-1]:
                self.add("StageLeaseExpired", **where, last_event_id=found.event_id, reason="silent")
        if end is not None:
            self.add(end, **where)
        if end == "StageCompleted":
            self.add("RunCompleted", run_id=run, generation=1)
        elif end == "StageFailed":
            self.add("RunFailed", run_id=run, generation=1, stage="compare", reason="compare: broken")
        return found

    def closed(self, **fields):
        given = {"submission_id": "s1", "experiment": "digits", "generation": 1, "completed": 1}
        return self.add("SubmissionClosed", **{**given, **fields})


@pytest.fixture
def analysed():
    return Analysed().grid()


def test_it_is_shown_without_a_cell_and_counts_as_no_run_of_the_grid(project, analysed):
    analysed.analysis()
    analysed.closed()
    model = project(analysed.journal, judge=judge_by_statistics)
    model.catch_up()
    rows = query(model, "SELECT run_id, scope, cell_index, grid_index, ref FROM runs ORDER BY run_no")
    assert rows == [
        ("r1", "run", 0, 0, "digits#1/lr0.1"),
        ("x1", "experiment", None, None, "digits#1/_experiment.1"),
    ]
    progress = "SELECT run_count, created, completed FROM submission_progress"
    assert query(model, progress) == [(1, 1, 1)]
    assert query(model, "SELECT status, completed FROM submissions") == [("completed", 1)]
    assert query(model, "SELECT problem FROM judgements") == [(None,)]


def test_a_submission_whose_analysis_failed_has_failed_and_is_judged(project, analysed):
    analysed.analysis(end="StageFailed")
    analysed.closed(experiment_failed=1)
    model = project(analysed.journal, judge=judge_by_statistics)
    model.catch_up()
    assert query(model, "SELECT status, failed, experiment_failed FROM submissions") == [("failed", 0, 1)]
    assert len(query(model, "SELECT * FROM judgements")) == 1
    assert query(model, "SELECT count(*) FROM comparisons") == [(0,)], "what a failed stage found does not count"


def test_what_an_analysis_found_is_in_the_tables_with_its_event(project, analysed):
    event = analysed.analysis()
    model = project(analysed.journal, judge=judge_by_statistics)
    model.catch_up()
    names = ", ".join(COMPARISON)
    head = "run_id, stage, submission_id, generation, event_id"
    assert query(model, f"SELECT {head} FROM comparisons") == [("x1", "compare", "s1", 1, event.event_id)]
    assert query(model, f"SELECT {names} FROM comparisons") == [tuple(COMPARISON.values())]
    assert query(model, f"SELECT {head} FROM rankings") == [("x1", "compare", "s1", 1, event.event_id)]
    assert query(model, f"SELECT {', '.join(RANKING)} FROM rankings") == [tuple(RANKING.values())]


def test_nothing_is_found_before_the_stage_has_its_result(project, analysed):
    analysed.analysis(end=None)
    model = project(analysed.journal, judge=judge_by_statistics)
    model.catch_up()
    assert query(model, "SELECT count(*) FROM rankings") == [(0,)]


def test_what_a_worker_found_that_was_lost_does_not_count(project, analysed):
    second = analysed.analysis(claims=("a1", "a2"))
    model = project(analysed.journal, judge=judge_by_statistics)
    model.catch_up()
    assert query(model, "SELECT event_id FROM comparisons") == [(second.event_id,)]


def test_the_newest_views_show_only_what_followed_the_last_end_of_the_grid(project, analysed):
    analysed.analysis()
    second = analysed.analysis(2)
    model = project(analysed.journal, judge=judge_by_statistics)
    model.catch_up()
    assert len(query(model, "SELECT * FROM comparisons")) == 2
    assert query(model, "SELECT event_id FROM comparisons_newest") == [(second.event_id,)]
    assert query(model, "SELECT event_id FROM rankings_newest") == [(second.event_id,)]
    analysed.analysis(3, end="StageFailed")
    model.catch_up()
    assert query(model, "SELECT * FROM comparisons_newest") == [], "an old analysis is never passed off as the new one"


def test_its_folder_stands_beside_those_of_the_grid(project, analysed):
    analysed.analysis()
    model = project(analysed.journal, judge=judge_by_statistics)
    model.catch_up()
    assert query(model, "SELECT folder FROM runs WHERE run_id = 'x1'") == [("digits/001-_experiment.1",)]
