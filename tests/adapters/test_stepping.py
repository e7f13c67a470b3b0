"""Schedules give the rates that they promise."""

import itertools
import math

import pytest

from crucible.adapters import learning_rate_at


def rates(schedule, total=100, warmup_steps=0):
    return [learning_rate_at(step, total, 0.4, schedule, warmup_steps) for step in range(1, total + 1)]


def test_constant_stays():
    assert set(rates("constant")) == {0.4}


def test_linear_falls_evenly_from_the_peak_to_one_step_above_zero():
    found = rates("linear")
    assert found[0] == 0.4
    assert found[-1] == pytest.approx(0.004)
    assert {round(a - b, 12) for a, b in itertools.pairwise(found)} == {0.004}


def test_cosine_is_half_way_in_the_middle_and_falls_all_the_way():
    found = rates("cosine")
    assert found[0] == 0.4
    assert found[50] == pytest.approx(0.2)
    assert found[-1] == pytest.approx(0.2 * (1 + math.cos(math.pi * 0.99)))
    assert found == sorted(found, reverse=True)


def test_warmup_rises_evenly_over_a_tenth_of_the_steps_and_stays():
    found = rates("warmup")
    assert found[:10] == pytest.approx([0.04 * step for step in range(1, 11)])
    assert set(found[10:]) == {0.4}


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "warmup"])
def test_every_schedule_can_begin_with_a_warmup_and_reaches_the_peak(schedule):
    found = rates(schedule, warmup_steps=20)
    assert found[:20] == pytest.approx([0.02 * step for step in range(1, 21)])
    assert max(found) == pytest.approx(0.4)
    assert found[20] == pytest.approx(0.4)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "warmup"])
@pytest.mark.parametrize("total", [1, 2])
def test_the_shortest_runs_have_a_rate_as_well(schedule, total):
    assert all(0 < rate <= 0.4 for rate in rates(schedule, total=total))


def test_a_step_after_the_last_one_has_no_negative_rate():
    assert learning_rate_at(500, 100, 0.4, "linear") == 0
