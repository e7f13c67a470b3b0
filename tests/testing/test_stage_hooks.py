"""`crucible.testing.run` calls a stage between its hooks, as a worker does."""

import sys
import threading
import time

import pytest

import crucible as cr
from crucible.errors import HookError, StageCanceledError
from crucible.stage_hooks import HookTimeoutError, LostStageError


def stage(run, *, is_bad=False):
    if is_bad:
        raise ValueError("bad")
    return {"score": 1.0}


def broken(run, error=None):
    raise OSError("broken")


def outcomes(run):
    return [(called["hook"], called["error_type"]) for called in run.hooks]


def test_a_stage_is_called_between_its_hooks(tmp_path):
    words = []
    hooks = {name: lambda run, name=name: words.append((name, run.seed)) for name in
             ("before_run", "before_stage", "after_stage", "after_run")}  # fmt: skip
    run = cr.testing.run(tmp_path, seed=3, hooks=hooks)
    assert run.call(stage) == {"score": 1.0}
    assert words == [("before_run", 3), ("before_stage", 3), ("after_stage", 3), ("after_run", 3)]
    assert outcomes(run) == [(word, None) for word, _ in words]
    assert all(called["duration_ms"] >= 0 for called in run.hooks)


def test_on_error_gets_the_error_and_changes_nothing(tmp_path):
    errors = []
    run = cr.testing.run(tmp_path, hooks={"on_error": lambda run, error: errors.append(error), "after_stage": broken})
    with pytest.raises(ValueError, match="bad"):
        run.call(stage, is_bad=True)
    assert [str(error) for error in errors] == ["bad"]
    again = cr.testing.run(tmp_path, hooks={"on_error": broken})
    with pytest.raises(ValueError, match="bad"):
        again.call(stage, is_bad=True)
    assert outcomes(again) == [("on_error", "OSError")]


def test_a_failing_hook_fails_the_stage_or_is_noted(tmp_path):
    run = cr.testing.run(tmp_path, hooks={"before_stage": broken})
    with pytest.raises(HookError, match=r"hook before_stage \(broken\) failed: OSError: broken"):
        run.call(stage)
    run = cr.testing.run(tmp_path, hooks={"before_stage": cr.Hook(broken, on_failure="continue")})
    assert run.call(stage) == {"score": 1.0}
    assert outcomes(run) == [("before_stage", "OSError")]


def test_a_cancel_in_a_hook_is_no_failure_of_it(tmp_path):
    def canceled(run):
        raise StageCanceledError("stop")

    run = cr.testing.run(tmp_path, hooks={"before_stage": canceled, "on_error": broken})
    with pytest.raises(StageCanceledError):
        run.call(stage)
    assert [called["hook"] for called in run.hooks] == ["before_stage"]


def test_a_hook_ends_in_time(tmp_path):
    hook = cr.Hook(lambda run: time.sleep(30), timeout_s=0.05)
    with pytest.raises(HookError) as caught:
        cr.testing.run(tmp_path, hooks={"before_run": hook}).call(stage)
    assert isinstance(caught.value.__cause__, HookTimeoutError)


def test_a_hook_in_another_thread_has_no_time_limit_and_works(tmp_path):
    run = cr.testing.run(tmp_path, hooks={"before_run": cr.Hook(lambda run: None, timeout_s=1)})
    thread = threading.Thread(target=run.call, args=(stage,))
    thread.start()
    thread.join()
    assert outcomes(run) == [("before_run", None)]


def test_a_command_that_fails_or_is_not_there_is_a_failed_hook(tmp_path):
    for command, said in (
        (f"{sys.executable} -c 'raise SystemExit(3)'", "exit code 3"),
        ("/no/such/thing", "No such"),
        ("sh -c 'kill -35 $$'", "signal 35"),
    ):
        run = cr.testing.run(tmp_path, hooks={"after_stage": cr.Hook(command=command)})
        with pytest.raises(HookError, match=said):
            run.call(stage)


def test_a_command_finds_the_run_in_its_words_and_its_environment(tmp_path):
    out = tmp_path / "out"
    code = f"import os, sys; open({str(out)!r}, 'w').write(' '.join(sys.argv[1:] + [os.environ['CRUCIBLE_CLAIM_ID']]))"
    run = cr.testing.run(
        tmp_path, hooks={"on_error": cr.Hook(command=f'{sys.executable} -c "{code}" {{error_type}} {{stage}}')}
    )
    with pytest.raises(ValueError, match="bad"):
        run.call(stage, is_bad=True)
    assert out.read_text() == f"ValueError stage {run.claim_id}"


def test_a_failure_in_another_process_has_its_class_and_type():
    error = LostStageError({"error_class": "exit", "error_type": "exit 7", "message": "it ended"})
    assert (error.error_class, error.error_type, str(error)) == ("exit", "exit 7", "it ended")
