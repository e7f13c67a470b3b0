"""500 seeds of virtual time, and proof that a build without its protections does not pass them."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.rules.scene import Scene
from tests.simulation.faults import KILLS, POINTS, missing_points
from tests.simulation.judge import Judge
from tests.simulation.sabotage import SABOTAGES
from tests.simulation.simulation import simulate

ROOT = Path(__file__).parents[2]
SEEDS = int(os.environ.get("CRUCIBLE_SEEDS", "500"))


def run(*arguments, hash_seed="random"):
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def trace_of(done):
    return re.search(r"trace (\w+)", done.stdout).group(1)


@pytest.mark.slow
def test_no_seed_breaks_what_must_be_true_and_every_point_is_hit():
    done = run("--seeds", str(SEEDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} seeds" in done.stdout
    assert " 0 problems, 0 points never hit" in done.stdout


def test_a_seed_replays_to_the_same_trace_in_another_process():
    first = run("--first", "3", "--seeds", "4", "--jobs", "1", hash_seed="1")
    again = run("--first", "3", "--seeds", "4", "--jobs", "2", hash_seed="2")
    other = run("--first", "4", "--seeds", "4", "--jobs", "2")
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert trace_of(first) == trace_of(again) != trace_of(other)


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_build_without_a_protection_fails(sabotage):
    done = run("--seeds", "60", "--sabotage", sabotage)
    assert done.returncode == 1, done.stdout + done.stderr
    expected = {"fencing": "a second completion", "dedup": "a second answer"}[sabotage]
    assert expected in done.stdout


def test_histories_in_which_stages_are_reused_pass_the_judge_too():
    outcomes = [simulate(seed) for seed in (1, 3, 8, 10, 15, 17)]
    assert [outcome.problems for outcome in outcomes] == [()] * len(outcomes)
    assert sum(outcome.reused for outcome in outcomes) >= 6
    assert simulate(2).reused == 0


def test_a_history_says_how_it_went():
    outcome = simulate(1)
    assert outcome.problems == ()
    assert outcome.faults
    assert outcome.seconds > 0
    assert simulate(1).trace == outcome.trace


def test_budgets_and_breakers_stop_a_submission_once_whatever_goes_wrong():
    stops = Counter()
    for seed in range(60):
        outcome = simulate(seed, is_limited=True)
        assert outcome.problems == (), seed
        stops += outcome.stops
    assert min(stops[kind] for kind in ("runs", "cost", "time_s", "breaker")) > 0


@pytest.mark.parametrize("seed", [1440, 2487, 4478, 4739, 5716, 8357])
def test_a_seed_that_once_found_a_deadlock_comes_to_rest(seed):
    """A run reopened, or created late, stood before the one that held the only permit."""
    assert simulate(seed, has_around=False).problems == ()


def test_a_point_that_no_fault_hit_is_named():
    points = [f"{role}: {name}" for role, names in POINTS.items() for name in names]
    everything = Counter({(kind, point): 1 for kind in (*KILLS, "late") for point in points})
    assert missing_points(everything) == []
    for kind in KILLS:
        del everything[kind, "worker: blob"]
    assert missing_points(everything) == ["worker: blob"], "hit by a late append, and no worker was killed there"
    assert len(missing_points(Counter())) == len(points)


def judged(scene, capacity=None):
    judge = Judge()
    judge.capacity = capacity
    for record in scene.records:
        judge.see(record)
    return judge


def test_the_judge_sees_too_many_runs_at_once():
    scene = Scene().running()
    scene.create("run-2")
    scene.play("RunStarted", run_id="run-2", generation=1)
    assert judged(scene, 2).problems == []
    assert judged(scene, 1).problems == ["2 runs at once, 1 allowed"]


def test_the_judge_sees_a_missing_answer_and_a_wrong_result():
    scene = Scene().running()
    scene.artifact("result", digest="wrong")
    scene.complete(telemetry_end={"c1.m": 2})
    judge = judged(scene)
    points = [("c1", 0, 1), ("c1", 1, 1)]
    judge.settle([scene.make("CancelRun", run_id="run-1")], points, {"fit": 2}, lambda *_: "right")
    assert [problem.split(":")[0] for problem in judge.problems] == [
        f"CancelRun {scene.make._prefix}{len(scene.records) + 1} was never answered",
        "run-1 fit",
        "run-1 fit",
    ]


def test_the_judge_sees_readers_that_disagree():
    scene = Scene().running()
    judge = judged(scene)
    judge.agree("a reader", scene.world)
    assert judge.problems == []
    scene.complete()
    judge.agree("a reader", scene.world)
    assert judge.problems == ["a reader sees another world"]
