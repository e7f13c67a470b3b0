"""Budgets and breakers as a user meets them: a grid that is stopped, says why, and goes on."""

import json
import time

from tests.acceptance.conftest import SLOW

GRID = """
import crucible as cr

@cr.stage(metrics={"score": cr.metric(better="higher"), "cost/usd": cr.metric(unit="USD")})
def fit(run: cr.Run, *, x: int = 0) -> dict[str, float]:
    from pathlib import Path
    if Path(f"broken-{x}").exists():
        raise ValueError(f"{x} is broken" if x & 1 else "even ones are broken")
    return {"score": x, "cost/usd": 0.1}

experiment = cr.Experiment("grid", parameters={"x": list(range(12))}, stages=[fit], %s)
"""
COST = 'budget=cr.Budget(cost={"metric": "cost/usd", "max": 0.5}), max_concurrent=1'
STATUSES = "SELECT status, count(*)::INT AS n FROM runs GROUP BY 1 ORDER BY 1"


def statuses(project):
    return {row["status"]: row["n"] for row in project.sql(STATUSES)}


def test_a_budget_of_runs_stops_a_grid_and_a_larger_one_lets_it_go_on(project):
    project.write("grid.py", GRID % "budget=cr.Budget(runs=4)")
    done = project.run("run", "grid.py", "-j", "2", code=4)
    assert "stopped by its budget of runs: 4 runs of 4 runs spent" in done.stdout
    assert "crucible budget 'grid#1' --runs MORE" in done.stdout
    assert statuses(project) == {"canceled": 8, "completed": 4}
    shown = project.run("show", "grid#1").stdout
    assert "the budget of runs is spent" in shown
    assert "exceeded" in shown
    assert "4 runs 4 runs exceeded" in " ".join(project.run("budget", "grid").stdout.split())
    refused = project.run("retry", "grid#1", code=2)
    assert "refused: the budget of runs is spent: 4 runs of 4 runs; raise it first" in refused.stdout
    changed = project.run("budget", "grid#1", "--runs", "20").stdout
    assert "the budget is changed" in changed
    assert "20 runs" in changed
    project.run("retry", "grid#1")
    project.run("run", "grid.py", "-j", "2")
    assert statuses(project) == {"completed": 12}
    (row,) = project.sql("SELECT kind, allowed, spent, status, is_changed FROM budgets")
    assert row == {"kind": "runs", "allowed": 20.0, "spent": 12.0, "status": "within", "is_changed": True}


def test_a_budget_of_cost_stops_a_grid_once_it_is_spent(project):
    project.write("grid.py", GRID % COST)
    done = project.run("run", "grid.py", "-j", "1", code=4)
    assert "stopped by its budget of cost (cost/usd)" in done.stdout
    events = project.sql("SELECT payload FROM events WHERE type = 'BudgetExceeded' AND NOT is_void")
    (event,) = [json.loads(row["payload"]) if isinstance(row["payload"], str) else row["payload"] for row in events]
    assert 0.5 <= event["spent"] < 0.75
    (row,) = project.sql("SELECT * FROM budgets")
    completed = statuses(project)["completed"]
    assert (row["metric"], row["allowed"], row["status"]) == ("cost/usd", 0.5, "exceeded")
    assert row["spent"] == round(0.1 * completed, 12)
    assert 5 <= completed < 12
    raised = project.run("budget", "grid#1", "--cost", "-1", code=2)
    assert "expected a positive, finite number" in raised.stderr
    assert "without a budget of runs" in project.run("budget", "grid#1", "--runs", "3", code=2).stderr


def test_a_budget_of_time_stops_a_stage_that_runs_which_goes_on_from_its_checkpoint(project):
    project.write("slow.py", SLOW.replace("stages=[count])", "stages=[count], budget=cr.Budget(time_s=1.0))"))
    began_s = time.monotonic()
    done = project.run("run", "slow.py", "-j", "1", code=4)
    assert time.monotonic() - began_s < 30
    assert "stopped by its budget of time_s" in done.stdout
    assert "crucible budget 'slow#1' --time MORE" in done.stdout
    assert statuses(project) == {"canceled": 1}
    project.run("budget", "slow#1", "--time", "600")
    project.run("retry", "slow#1")
    project.run("run", "slow.py", "-j", "1")
    (row,) = project.sql("SELECT value FROM result_metrics WHERE name = 'total'")
    assert row["value"] == sum(range(1, 61))
    assert project.sql("SELECT 1 AS n FROM events WHERE type = 'StageResumed'")
    (row,) = project.sql("SELECT spent, status FROM budgets")
    assert 2.5 < row["spent"] < 30
    assert row["status"] == "within"


def test_a_breaker_stops_a_grid_that_fails_and_a_retry_closes_it(project):
    project.write("grid.py", GRID % "breaker=cr.Breaker(window=10, failure_rate=0.3, min_runs=4), max_concurrent=1")
    for x in range(1, 12):
        project.write(f"broken-{x}", "")
    done = project.run("run", "grid.py", "-j", "1", code=3)
    assert "stopped by its breaker: 3 of the last 4 runs to end have failed, 30.0% may" in done.stdout
    assert "× fit: ValueError: even ones are broken" in done.stdout
    (row,) = project.sql("SELECT status, ended, failed, generation FROM breakers")
    assert row == {"status": "open", "ended": 4, "failed": 3, "generation": 1}
    assert "breaker: open, 3 of the last 4" in project.run("show", "grid#1").stdout
    assert statuses(project)["canceled"] >= 7
    for x in range(1, 12):
        (project.folder / f"broken-{x}").unlink()
    project.run("retry", "--failed", "grid")
    project.run("run", "grid.py", "-j", "1", code=4)
    assert statuses(project)["completed"] == 4
    (row,) = project.sql("SELECT status, ended, generation FROM breakers")
    assert row == {"status": "closed", "ended": None, "generation": 2}
    project.run("retry", "grid#1")
    project.run("run", "grid.py", "-j", "1")
    assert statuses(project) == {"completed": 12}


def test_everything_that_is_wrong_with_limits_is_said_at_once(project):
    wrong = 'budget=cr.Budget(time_s=-1, cost={"metric": "cost/eur", "max": 1}), breaker=cr.Breaker(window=0, rate=1)'
    project.write("grid.py", GRID % wrong.replace("rate=1", "failure_rate=3"))
    done = project.run("run", "grid.py", code=2)
    for part in ("budget.time_s", "budget.cost.metric", "'cost/usd'", "breaker.window", "breaker.failure_rate"):
        assert part in done.stderr, done.stderr
    project.write("grid.py", GRID % "budget=cr.Budget(), breaker=cr.Breaker(window=5, min_runs=9)")
    done = project.run("run", "grid.py", code=2)
    assert "budget (line 11): has no limit" in done.stderr
    assert "breaker.min_runs" in done.stderr


def test_a_budget_of_a_run_or_of_nothing_is_told(project):
    project.write("grid.py", GRID % "")
    project.run("run", "grid.py", "-j", "2")
    assert "has no budget" in project.run("budget", "grid").stdout
    assert "is a run; a budget is one of a submission" in project.run("budget", "grid@last", code=2).stderr
