"""What a worker makes of stages that do not behave: whatever they do, it becomes one record."""

import os
import signal
import time

import pytest

from crucible.processors.zygote import Zygote
from crucible.records import (
    CancelRun,
    LogLines,
    RunCanceled,
    RunCompleted,
    RunCreated,
    RunFailed,
    StageCanceled,
    StageClaimed,
    StageCompleted,
    StageFailed,
    StageHeartbeat,
)
from tests.processors.processes import is_alive, processes_with
from tests.processors.workshop import Workshop

BAD = """
    import crucible as cr, ctypes, os, signal, sys, time
    import subprocess

    def tell(name):
        with open(os.path.join(os.path.dirname(__file__), name + ".pid"), "w") as file:
            file.write(str(os.getpid()))

    @cr.stage
    def bad(run, *, how: str):
        {body}

    experiment = cr.Experiment("e", stages=[bad.with_options(how="once"){fields}])
"""


def bad(body, fields=""):
    return BAD.replace("{body}", body.replace("\n", "\n        ")).replace("{fields}", fields)


@pytest.mark.parametrize(
    ("body", "error_class", "error_type", "message"),
    [
        ("raise ValueError('no such luck')", "permanent", "ValueError", "no such luck"),
        ("sys.exit(3)", "exit", "SystemExit", "the stage called sys.exit(3)"),
        ("os._exit(3)", "exit", "exit 3", "the stage's process ended: exit 3"),
        ("ctypes.string_at(0)", "exit", "SIGSEGV", "SIGSEGV"),
        ("raise KeyboardInterrupt", "permanent", "KeyboardInterrupt", ""),
        ("def f(): return f()\nf()", "permanent", "RecursionError", "recursion"),
        ("return 5", "permanent", "UsageError", "returned int"),
        ("return {'loss': 'low'}", "permanent", "StageError", "expected a number"),
        ("os.closerange(3, 1000)", "exit", "exit", "process ended"),
    ],
)
def test_however_a_stage_fails_it_fails_once_and_says_how(workshop, body, error_class, error_type, message):
    workshop.worker()
    workshop.submit(bad(body))
    workshop.wait(RunFailed)
    (failed,) = workshop.events(StageFailed)
    assert (failed.error_class, failed.is_retryable) == (error_class, False)
    assert failed.error_type.startswith(error_type)
    assert message in failed.message
    assert "\n" not in failed.message
    if error_class == "permanent" and body.startswith("raise"):
        assert body.partition("(")[0] in workshop.blobs.get_bytes(failed.traceback_blob).decode()


def test_a_stage_whose_process_was_killed_is_tried_again(workshop):
    workshop.worker()
    workshop.submit(bad("if run.attempt == 1:\n    os.kill(os.getpid(), signal.SIGKILL)"))
    workshop.wait(RunCompleted)
    (failed,) = workshop.events(StageFailed)
    assert (failed.error_class, failed.error_type, failed.is_retryable) == ("transient", "SIGKILL", True)
    assert "out of memory" in failed.message


def test_a_stage_whose_zygote_was_killed_is_tried_again(tmp_path):
    with Workshop(tmp_path, Zygote.start()) as workshop:
        workshop.worker()
        workshop.submit(bad("if run.attempt == 1:\n    tell('child')\n    time.sleep(600)"))
        workshop.pid("child")
        os.kill(workshop.zygote.statistics().pid, signal.SIGKILL)
        workshop.wait(RunCompleted)
        (failed,) = workshop.events(StageFailed)
        assert (failed.error_class, failed.error_type) == ("transient", "lost")
        assert workshop.zygote.statistics().restarts == 1
    workshop.zygote.close()


def test_telemetry_beyond_the_limit_of_the_spool_fails_the_stage_and_says_why(workshop):
    workshop.worker(spool_bytes_max=1024)
    workshop.submit(bad("run.log({'x': 1})", ".with_fields(retry={'max': 0})"))
    workshop.wait(RunFailed)
    (failed,) = workshop.events(StageFailed)
    assert (failed.error_class, failed.error_type) == ("transient", "SpoolError")
    assert "the limit is 1024" in failed.message


def test_a_child_that_died_of_a_fault_leaves_its_stack(workshop):
    workshop.worker()
    workshop.submit(bad("ctypes.string_at(0)"))
    workshop.wait(RunFailed)
    (failed,) = workshop.events(StageFailed)
    assert "mine.py" in workshop.blobs.get_bytes(failed.traceback_blob).decode()


def test_a_stage_that_can_not_be_imported_is_invalid(workshop):
    workshop.worker()
    workshop.submit("""
        import crucible as cr, sys

        if "pytest" not in sys.modules:
            raise RuntimeError("half-written")

        @cr.stage
        def bad(run): pass

        experiment = cr.Experiment("e", stages=[bad])
    """)
    workshop.wait(RunFailed)
    (failed,) = workshop.events(StageFailed)
    assert failed.error_class == "invalid"
    assert "half-written" in failed.message


@pytest.mark.parametrize("error", ["cr.TransientError('busy')", "ConnectionResetError()", "OSError(28, 'full')"])
def test_a_transient_failure_is_tried_again(workshop, error):
    workshop.worker()
    workshop.submit(bad(f"if run.attempt == 1:\n    raise {error}"))
    workshop.wait(RunCompleted)
    (failed,) = workshop.events(StageFailed)
    assert (failed.error_class, failed.is_retryable) == ("transient", True)
    assert [each.attempt for each in workshop.events(StageClaimed)] == [1, 2]


def test_a_stage_that_takes_too_long_is_ended_and_says_where_it_stood(workshop):
    workshop.worker()
    workshop.submit(bad("time.sleep(60)", ".with_fields(timeout_s=0.5)"))
    workshop.wait(RunFailed)
    (failed,) = workshop.events(StageFailed)
    assert (failed.error_class, failed.message) == ("timeout", "it ran longer than 0.5 s")
    assert "in bad" in workshop.blobs.get_bytes(failed.traceback_blob).decode()


def test_a_stage_without_progress_is_ended_and_one_that_logs_is_not(workshop):
    workshop.worker()
    body = """
for _ in range(30):
    run.log({"alive": 1})
    time.sleep(0.1)
time.sleep(60)
"""
    workshop.submit(bad(body, ".with_fields(stall_timeout_s=1.5)"))
    workshop.wait(RunFailed)
    (failed,) = workshop.events(StageFailed)
    assert (failed.error_class, failed.message) == ("stall", "it made no progress for 1.5 s")
    assert max(failed.telemetry_end.values()) == 30


def test_output_beyond_the_limit_is_counted_and_not_kept(workshop, monkeypatch):
    monkeypatch.setattr("crucible.processors.output.Output.__init__.__kwdefaults__", {"bytes_max": 1_000_000})
    workshop.worker()
    workshop.submit(bad("for _ in range(50):\n    sys.stdout.write('x' * 99_999 + '\\n')"))
    workshop.wait(RunCompleted)
    lines = workshop.telemetry(LogLines)
    assert sum(each.size_bytes for each in lines) == 1_000_000
    assert sum(each.dropped_bytes for each in lines) == 4_000_000


def test_what_a_stage_leaves_running_ends_with_it(workshop):
    workshop.worker()
    body = """
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "left-behind-a"])
subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); os.fork() or time.sleep(600)", "left-behind-b"])
time.sleep(0.5)
"""
    workshop.submit(bad(body))
    workshop.wait(RunCompleted)
    workshop.until(lambda: not processes_with("left-behind"))


def test_a_daemon_that_a_stage_starts_does_not_outlive_it_though_it_has_left_the_stages_session(workshop):
    workshop.worker()
    body = """
code = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
subprocess.run([sys.executable, "-c", code, "stray-daemon"], check=True)
time.sleep(0.3)
"""
    workshop.submit(bad(body))
    workshop.wait(RunCompleted)
    workshop.until(lambda: not processes_with("stray-daemon"))


def test_a_stage_that_leaves_a_thread_does_not_share_its_process_with_the_next(workshop):
    workshop.worker()
    workshop.submit("""
        import crucible as cr, threading, time, os

        @cr.stage
        def fit(run, *, number: int):
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            return {"pid": os.getpid()}

        experiment = cr.Experiment("e", stages=[fit], parameters={"number": [1, 2]})
    """)
    workshop.wait(RunCompleted, count=2)
    assert len({each.metrics[0]["value"] for each in workshop.events(StageCompleted)}) == 2


def test_a_canceled_run_stops_between_two_steps(workshop):
    workshop.worker()
    workshop.submit(bad("for _ in run.steps(range(10_000)):\n    time.sleep(0.02)"))
    run_id = workshop.wait(StageClaimed)[0].run_id
    workshop.send(CancelRun, run_id=run_id, reason="enough")
    assert workshop.wait(RunCanceled)[0].reason == "enough"
    assert len(workshop.events(StageCanceled)) == 1
    assert workshop.events(StageFailed) == []


def test_a_canceled_stage_that_does_not_stop_is_ended(workshop, monkeypatch):
    monkeypatch.setattr("crucible.processors.stage_run.CANCEL_GRACE_S", 0.5)
    workshop.worker()
    workshop.submit(bad("tell('child')\nwhile True:\n    time.sleep(600)"))
    run_id = workshop.wait(StageClaimed)[0].run_id
    pid = workshop.pid("child")
    workshop.send(CancelRun, run_id=run_id, reason="enough")
    workshop.wait(RunCanceled)
    workshop.until(lambda: not is_alive(pid))


def test_a_killed_worker_gives_its_claim_back_and_ends_its_child(workshop):
    worker = workshop.worker()
    workshop.submit(bad("tell('child')\ntime.sleep(600 if run.attempt and not os.path.exists('go') else 0)"))
    workshop.wait(StageClaimed)
    pid = workshop.pid("child")
    (workshop.folder / "go").write_text("")
    worker.kill()
    workshop.until(lambda: not is_alive(pid))
    workshop.worker()
    workshop.wait(RunCompleted)
    assert len(workshop.events(StageClaimed)) == 2


def test_a_stage_that_hangs_keeps_its_claim_as_long_as_its_worker_lives(workshop):
    workshop.worker(lease_ms=600)
    workshop.submit(bad("time.sleep(2)"))
    workshop.wait(RunCompleted)
    assert len(workshop.events(StageClaimed)) == 1
    assert len(workshop.events(StageHeartbeat)) >= 5


@pytest.mark.parametrize(
    ("command", "error_class", "message"),
    [
        ("python -c 'import sys; sys.exit(7)'", "exit", "exit code 7"),
        ("python -c 'import os; os.kill(os.getpid(), 11)'", "exit", "signal SIGSEGV"),
        ("no-such-program --x", "invalid", "can't be started"),
    ],
)
def test_a_script_that_fails_fails_its_stage(workshop, command, error_class, message):
    workshop.worker()
    workshop.submit(f"""
        import crucible as cr
        fit = cr.command_stage("fit", command={command!r})
        experiment = cr.Experiment("e", stages=[fit])
    """)
    workshop.wait(RunFailed)
    (failed,) = workshop.events(StageFailed)
    assert failed.error_class == error_class
    assert message in failed.message


def test_a_script_is_told_that_its_run_is_canceled(workshop):
    (workshop.folder / "t.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\nprint('up', flush=True)\ntime.sleep(600)\n"
    )
    workshop.worker()
    workshop.submit("""
        import crucible as cr
        fit = cr.command_stage("fit", command="python t.py")
        experiment = cr.Experiment("e", stages=[fit])
    """)
    run_id = workshop.wait(RunCreated)[0].run_id
    workshop.until(lambda: workshop.telemetry(LogLines))
    workshop.send(CancelRun, run_id=run_id, reason="enough")
    workshop.wait(RunCanceled)
    assert len(workshop.events(StageCanceled)) == 1


def test_signals_to_all_processes_of_a_machine_do_not_end_a_stage(workshop):
    workshop.worker()
    workshop.submit(bad("tell('child')\nwhile not os.path.exists('go'):\n    time.sleep(0.05)"))
    pid = workshop.pid("child")
    os.kill(pid, signal.SIGTERM)
    os.kill(workshop.zygote.statistics().pid, signal.SIGTERM)
    time.sleep(0.2)
    (workshop.folder / "go").write_text("")
    workshop.wait(RunCompleted)
