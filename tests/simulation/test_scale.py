"""Ten thousand runs at once in virtual time, and the page of the plan, whose tables say what the plan's numbers say."""

import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import scale_plan as plan
from tests.simulation.scale import Scale

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def outcome_of(**sizes):
    return Scale(**sizes).play()


@pytest.mark.nightly
@pytest.mark.timeout(1_500)
def test_ten_thousand_runs_at_once_are_answered_claimed_and_ended():
    outcome = outcome_of(stages=1, stage_s=45.0, sample_every=200)
    assert outcome.problems == []
    assert outcome.ended.total() == plan.RUNS
    assert outcome.peak >= 0.9 * plan.RUNS


def test_a_thousand_runs_live_whole_lives_while_workers_die_and_owners_cancel():
    outcome = outcome_of(runs=1_000, stage_s=90.0, workers=100)
    assert outcome.problems == []
    assert outcome.ended["canceled"] > 0
    assert outcome.taken_over > 0
    assert set(outcome.events) == set(range(plan.EVENTS_PARTITIONS))


def test_the_simulation_sees_a_partition_that_is_too_full_and_a_projector_that_is_too_slow(monkeypatch):
    scale = Scale(runs=40, stage_s=5.0, workers=10)
    scale.batches = Counter({0: 10_000_000})
    problems = scale.play().problems
    assert any("a partition of telemetry has" in problem for problem in problems)
    assert any("projector 0 would have to take" in problem for problem in problems)
    monkeypatch.setattr(plan, "PARTITION_BATCHES_PER_S", 0)
    assert any("batches in a second" in problem for problem in outcome_of(runs=40, stage_s=5.0, workers=10).problems)


def test_the_simulation_sees_a_command_without_an_answer_and_a_run_without_an_end():
    scale = Scale(runs=40, stage_s=5.0, workers=10)
    scale._is_over = lambda: len(scale.held) > 20
    problems = scale.play().problems
    assert any(" is running" in problem for problem in problems)
    scale = Scale(runs=40, stage_s=5.0, workers=10)
    scale.commands.append(scale._submission(99))
    assert any("was never answered" in problem for problem in scale.play().problems)


def test_the_page_shows_the_numbers_of_the_plan():
    """Each row that names a number of the plan in code has its value beside it."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([\d,.]+) \|", PAGE.read_text(), re.MULTILINE)
    shown = {name: float(value.replace(",", "")) for name, value in rows}
    numbers = {name: value for name, value in vars(plan).items() if name.isupper()}
    assert shown == numbers


def test_what_the_page_derives_follows_from_the_plan():
    rows = re.findall(r"^\| [^|]+ \| `([a-z_]+)\(\)` \| ([\d,.]+) \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) >= 10
    for name, value in rows:
        assert value == f"{getattr(plan, name)():,.{len(value.partition('.')[2])}f}", name


def test_the_plan_keeps_its_reserve():
    assert plan.telemetry_partitions_needed() <= plan.TELEMETRY_PARTITIONS
    assert plan.events_partitions_needed() <= plan.EVENTS_PARTITIONS
    assert plan.projectors_needed() <= plan.PROJECTORS
    assert plan.thin_projectors_needed() <= plan.PROJECTORS
    assert plan.WORKERS * plan.SLOTS >= plan.RUNS
