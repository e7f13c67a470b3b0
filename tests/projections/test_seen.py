"""A new key is known to be new, and a met one is never taken for new."""

from crucible.projections.aggregates import Aggregates
from crucible.projections.seen import SeenKeys
from tests.projections.content import content, query
from tests.projections.history import History


def test_a_key_that_was_met_is_never_new_again():
    seen = SeenKeys()
    keys = [f"run-{number}" for number in range(20_000)]
    new = sum(not seen.meet(key) for key in keys)
    assert new > 19_900
    assert all(seen.meet(key) for key in keys)


class Asked:
    """A connection that counts what it is asked for."""

    def __init__(self):
        self.queries = []

    def execute(self, sql, parameters):
        self.queries.append((sql, tuple(parameters)))
        return self

    def fetchall(self):
        return []


def test_only_keys_that_were_met_before_are_looked_for_in_the_tables():
    connection = Asked()
    aggregates = Aggregates(connection, is_complete=True)
    assert aggregates.load(["a", "b"]) == []
    assert aggregates.load(["b", "c"]) == []
    assert connection.queries == []
    aggregates = Aggregates(connection, is_complete=False)
    assert aggregates.load(["a", "b"]) == ["a", "b"]
    (asked,) = connection.queries
    assert asked[1] == ("a", "b")


def test_spools_of_a_model_without_events_are_found_after_a_restart(project):
    """Telemetry came first, alone, and was committed; then the process was killed."""
    history = History()
    history.points("r1", "c1", [2.0, 1.0])
    first = project(history.journal)
    first.catch_up()
    first.close()
    history.points("r1", "c1", [2.0, 1.0], first=0)
    history.points("r1", "c1", [3.0], first=2, first_step=3)
    second = project(history.journal)
    second.catch_up()
    assert query(second, "SELECT step, value FROM metrics ORDER BY sequence") == [(1, 2.0), (2, 1.0), (3, 3.0)]
    whole = project(history.journal, "whole")
    whole.catch_up()
    assert content(second) == content(whole)


def test_runs_that_were_forgotten_come_back_with_their_spools(project, monkeypatch):
    monkeypatch.setattr("crucible.projections.aggregates.KEYS_MAX", 1)
    history = History()
    history.submit(3)
    for run in ("a", "b", "c"):
        history.create(run, stages=("fit",))
        history.start(run)
        history.request(run)
        history.claim(run, f"{run}-c1")
        history.points(run, f"{run}-c1", [3.0, 2.0])
    small = project(history.journal, "small", commit_rows=1)
    small.catch_up()
    for run in ("a", "b", "c"):
        history.points(run, f"{run}-c1", [1.0], first_step=3)
        history.complete(run, f"{run}-c1")
        history.finish(run)
        small.catch_up()
    whole = project(history.journal, "whole")
    whole.catch_up()
    assert content(small) == content(whole)
    assert query(small, "SELECT count(*) FROM runs WHERE is_complete") == [(3,)]
