"""Hooks as a user meets them: functions and commands around runs and stages, and what their failures do."""

import json
import os
import signal

import pytest

HEAD = """
import os, time
from pathlib import Path
import crucible as cr

def note(word):
    with open("calls.txt", "a") as file:
        file.write(word + "\\n")

def before_run(run): note(f"before_run {run.run_id} {run.stage}")
def after_run(run): note(f"after_run {run.run_id} {run.stage}")
def before_stage(run): print("about to begin"); note(f"before_stage {run.run_id} {run.stage}")
def after_stage(run): note(f"after_stage {run.run_id} {run.stage}")
def on_error(run, error): note(f"on_error {run.run_id} {run.stage} {type(error).__name__}: {error}")
def broken(run, error=None): raise RuntimeError("the hook is broken")
def slow(run): time.sleep(60)
def kills(run): os.kill(os.getpid(), 9)
def waits(run):
    note(f"waiting {os.getpid()} {run.claim_id}")
    while not Path("go").exists():
        time.sleep(0.02)

@cr.stage(artifacts=["model"])
def fit(run: cr.Run, *, x: int = 1) -> None:
    if x == 0:
        raise ValueError("zero")
    if x < 0:
        os._exit(7)
    run.artifact("model", b"weights")

@cr.stage
def score(run: cr.Run, model: cr.Artifact) -> dict[str, float]:
    return {"y": 1.0}
"""
TAIL = '\nexperiment = cr.Experiment("mine", parameters={"x": %s}, stages=[fit, score.with_inputs(model="fit.model")], hooks=%s)\n'
ALL = "dict(before_run=before_run, after_run=after_run, before_stage=before_stage, after_stage=after_stage, on_error=on_error)"
ROWS = "SELECT hook, stage, status, error_type, message, policy FROM hooks ORDER BY called_at, event_id"


def write(project, values, hooks):
    project.write("mine.py", HEAD + TAIL % (values, hooks))


def calls(project):
    file = project.folder / "calls.txt"
    return file.read_text().splitlines() if file.exists() else []


def test_hooks_are_called_around_runs_and_stages_and_stand_in_the_log(project):
    write(project, "[1]", ALL)
    project.run("run", "mine.py", "-j", "1")
    label = project.sql("SELECT run_id FROM runs")[0]["run_id"]
    assert calls(project) == [
        f"{word} {label} {stage}"
        for word, stage in [
            ("before_run", "fit"),
            ("before_stage", "fit"),
            ("after_stage", "fit"),
            ("before_stage", "score"),
            ("after_stage", "score"),
            ("after_run", "score"),
        ]
    ]
    rows = project.sql(ROWS)
    assert [row["hook"] for row in rows] == [line.split()[0] for line in calls(project)]
    assert {row["status"] for row in rows} == {"completed"}
    assert "mine:before_stage" in project.run("show", "@last").stdout
    assert "about to begin" in project.run("logs", "@last").stdout


def test_on_error_is_called_in_the_process_that_raised_and_in_a_fresh_one_for_a_process_that_died(project):
    write(project, "[0, -1, 1]", "dict(on_error=on_error)")
    project.run("run", "mine.py", "-j", "2", code=3)
    found = sorted(line.split(" ", 2)[2] for line in calls(project))
    assert found == ["fit LostStageError: the stage's process ended: exit 7", "fit ValueError: zero"]
    rows = project.sql("SELECT status, error_class, error_type FROM stages WHERE status = 'failed' ORDER BY error_type")
    assert [(row["error_class"], row["error_type"]) for row in rows] == [
        ("permanent", "ValueError"),
        ("exit", "exit 7"),
    ]
    assert [row["status"] for row in project.sql(ROWS)] == ["completed", "completed"]


def test_a_hook_that_fails_fails_its_stage_or_is_only_recorded(project):
    hooks = "dict(before_stage=%s, on_error=on_error)"
    write(project, "[1]", hooks % "broken")
    done = project.run("run", "mine.py", "-j", "1", code=3)
    assert "hook before_stage (mine:broken) failed: RuntimeError: the hook is broken" in done.stdout
    (row,) = project.sql("SELECT error_class, attempt FROM stages WHERE status = 'failed'")
    assert row == {"error_class": "hook", "attempt": 1}, "it is not tried again"
    assert [line.split()[0] for line in calls(project)] == ["on_error"]
    first = project.sql(ROWS)[0]
    assert first == {
        "hook": "before_stage",
        "stage": "fit",
        "status": "failed",
        "error_type": "RuntimeError",
        "message": "the hook is broken",
        "policy": "fail",
    }
    assert "hooks that failed" in project.run("show", "mine#1").stdout
    write(project, "[1]", hooks % 'cr.Hook(function=broken, on_failure="continue")')
    project.run("run", "mine.py", "-j", "1")
    rows = project.sql("SELECT h.status, h.policy FROM hooks h JOIN runs USING (run_id) WHERE number = 2")
    assert rows == [{"status": "failed", "policy": "continue"}] * 2


def test_on_error_makes_no_failure_a_success_and_its_own_is_recorded(project):
    write(project, "[0]", "dict(on_error=broken)")
    project.run("run", "mine.py", "-j", "1", code=3)
    (row,) = project.sql("SELECT error_type, message FROM stages WHERE stage = 'fit'")
    assert row == {"error_type": "ValueError", "message": "zero"}
    (row,) = project.sql(ROWS)
    assert (row["hook"], row["status"], row["message"]) == ("on_error", "failed", "the hook is broken")


def test_a_hook_that_takes_too_long_is_ended(project):
    write(project, "[1]", 'dict(before_run=cr.Hook(function=slow, timeout_s=0.3, on_failure="continue"),'
          ' after_stage=cr.Hook(command="sleep 60", timeout_s=0.3))')  # fmt: skip
    project.run("run", "mine.py", "-j", "1", code=3)
    rows = project.sql(ROWS)
    assert [(row["hook"], row["error_type"], row["message"]) for row in rows] == [
        ("before_run", "HookTimeoutError", "it took longer than 0.3 s"),
        ("after_stage", "HookTimeoutError", "it took longer than 0.3 s"),
    ]
    project.wait_until_empty()


def test_a_command_is_told_what_it_is_about(project):
    script = project.write("notify.sh", "#!/bin/sh\necho said $1 $CRUCIBLE_HOOK $CRUCIBLE_STAGE $CRUCIBLE_PARAMS\n"
                           "echo $CRUCIBLE_ERROR_TYPE: $CRUCIBLE_ERROR_MESSAGE >> calls.txt\nexit ${2:-0}\n")  # fmt: skip
    script.chmod(0o755)
    write(project, "[0]", 'dict(before_run=cr.Hook(command="./notify.sh {ref}"),'
          ' on_error=cr.Hook(command="./notify.sh {error_class} 9"))')  # fmt: skip
    project.run("run", "mine.py", "-j", "1", code=3)
    text = project.run("logs", "@last").stdout
    assert "said mine#1/" in text
    assert 'before_run fit {"fit.x": 0}' in text
    assert calls(project)[-1] == "ValueError: zero"
    rows = project.sql(ROWS)
    assert (rows[-1]["function"] if "function" in rows[-1] else rows[-1]["hook"]) == "on_error"
    assert "exit code 9" in rows[-1]["message"]


def test_a_process_that_dies_in_a_hook_is_a_failure_of_both_and_is_tried_again(project):
    write(project, "[1]", "dict(before_stage=kills, on_error=on_error)")
    project.run("run", "mine.py", "-j", "1", code=3)
    rows = [row for row in project.sql(ROWS) if row["hook"] == "before_stage"]
    assert len(rows) == 4, "SIGKILL is worth another attempt, three times"
    assert {(row["status"], row["error_type"]) for row in rows} == {("failed", "SIGKILL")}
    assert len(calls(project)) == 4, "on_error in a fresh process, each time"


def test_a_worker_that_is_killed_in_a_hook_is_followed_by_one_that_calls_it_again(project):
    write(project, "[1]", "dict(before_run=waits)")
    process = project.start("run", "mine.py", "-j", "1")
    project.wait_for("SELECT status FROM claims", lambda rows: rows and rows[0]["status"] == "live")
    while not calls(project):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    project.write("go", "")
    project.run("run", "mine.py", "-j", "1")
    (first, second) = calls(project)
    assert first.split()[2] != second.split()[2], "each claim has its own id"
    rows = project.sql("SELECT claim_id, status FROM hooks")
    assert rows == [{"claim_id": second.split()[2], "status": "completed"}]


def test_everything_that_is_wrong_with_hooks_is_said_at_once(project):
    write(project, "[1]", 'dict(before_stagge=before_run, after_run="mine:nothing", on_error=before_run,'
          ' before_run=cr.Hook(), after_stage=cr.Hook(command="x {y}", on_failure="ignore"))')  # fmt: skip
    done = project.run("run", "mine.py", code=2)
    for part in ("before_stagge", "did you mean 'before_stage'", "has no 'nothing'", "can't be called with run and error",
                 "needs one of function and command", "placeholder {y}", "hooks.after_stage.on_failure"):  # fmt: skip
        assert part in done.stderr, done.stderr


@pytest.mark.parametrize("policy", ["fail", "continue"])
def test_hooks_before_and_after_the_experiment_are_called_once(project, policy):
    write(
        project,
        "[1, 2]",
        f'dict(before_experiment=before_run, after_experiment=cr.Hook(function=broken, on_failure="{policy}"))',
    )
    project.run("run", "mine.py", "-j", "2", code=3 if policy == "fail" else 0)
    assert len(calls(project)) == 1
    rows = project.sql("SELECT hook, status FROM hooks ORDER BY called_at")
    assert rows == [
        {"hook": "before_experiment", "status": "completed"},
        {"hook": "after_experiment", "status": "failed"},
    ]
    assert project.sql("SELECT count(*)::INT AS n FROM runs WHERE scope = 'run' AND status = 'completed'") == [{"n": 2}]
    assert json.loads(project.run("show", "mine#1", "--format", "json").stdout)["hook_failures"]


def test_a_grid_does_not_start_when_the_hook_before_it_fails(project):
    write(project, "[1, 2]", "dict(before_experiment=broken)")
    project.run("run", "mine.py", "-j", "1", code=3)
    assert {row["status"] for row in project.sql("SELECT status FROM runs WHERE scope = 'run'")} == {"canceled"}
