"""Killed, stopped, canceled, tried again: nothing is lost and nothing is left behind."""

import signal
import time

from tests.acceptance.conftest import QUICK, SLOW

TOTAL = 60 * 61 / 2
STEPS = "select count(*) n, count(distinct step) d, max(step) m from metrics_effective where name = 'total'"


def _begin(project, *arguments):
    project.write("slow.py", SLOW)
    project.hold()
    process = project.start("run", "slow.py", *arguments)
    project.wait_for("select count(*) n from checkpoints", lambda rows: rows and rows[0]["n"] >= 1)
    return process


def _finish(project):
    project.let_go()
    out = project.run("run", "slow.py").stdout
    assert "resuming slow#1" in out
    assert "slow#1: 1 completed" in out
    assert project.sql("select value from result_metrics")[0]["value"] == TOTAL
    assert project.sql(STEPS) == [{"n": 60, "d": 60, "m": 60}]
    assert project.sql("select count(*) n from submissions")[0]["n"] == 1


def test_kill_9_of_the_whole_command_and_the_same_command_goes_on_from_the_checkpoint(project):
    process = _begin(project)
    process.kill()
    process.wait()
    project.wait_until_empty()
    _finish(project)
    assert project.sql("select count(*) n from claims where resumed_from is not null")[0]["n"] == 1


def test_ctrl_c_checkpoints_and_gives_the_claim_back(project):
    process = _begin(project)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    project.wait_until_empty()
    claims = project.sql("select status from claims")
    assert claims == [{"status": "released"}]
    _finish(project)


def test_a_second_ctrl_c_kills(project):
    project.write("deaf.py", SLOW.replace('"slow"', '"deaf"').replace("time.sleep(pause)", "time.sleep(600)"))
    process = project.start("run", "deaf.py")
    project.wait_for("select count(*) n from metrics", lambda rows: rows and rows[0]["n"] == 1)
    process.send_signal(signal.SIGINT)
    while not process.stdout.readline().startswith("stopping"):
        assert process.poll() is None
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    project.wait_until_empty()


def test_cancel_stops_a_run_and_exits_4(project):
    process = _begin(project)
    project.run("cancel", "slow#1")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 4, out
    assert project.sql("select status from runs") == [{"status": "canceled"}]
    project.wait_until_empty()


def test_retry_runs_a_canceled_run_again(project):
    process = _begin(project)
    project.run("cancel", "@last")
    process.communicate(timeout=60)
    project.run("retry", "@last")
    _finish(project)


def test_retry_failed_runs_what_failed_and_nothing_else(project):
    flag = project.folder / "mended"
    text = QUICK.replace("if fail:", f"import os\n    if not os.path.exists({str(flag)!r}) and x > 0.3:")
    project.write("quick.py", text)
    project.run("run", "quick.py", code=3)
    flag.touch()
    project.run("retry", "--failed", "quick")
    project.run("run", "quick.py")
    assert project.sql("select count(*) n from runs where status = 'completed'")[0]["n"] == 4
    assert project.sql("select count(*) n from attempts")[0]["n"] == 6


def test_a_changed_file_with_unfinished_runs_asks_and_without_a_terminal_prints_both_commands(project):
    process = _begin(project)
    process.kill()
    process.wait()
    project.write("slow.py", SLOW.replace('cr.Experiment("slow"', 'cr.Experiment("slow", description="other"'))
    done = project.run("run", "slow.py", code=2)
    assert "crucible run slow.py --resume" in done.stderr
    assert "crucible run slow.py --new" in done.stderr
    assert project.sql("select count(*) n from submissions")[0]["n"] == 1
    project.let_go()
    out = project.run("run", "slow.py", "--resume").stdout
    assert "slow#1: 1 completed" in out


def test_two_sweeps_a_notebook_and_sql_at_once_on_one_folder(project):
    project.write("slow.py", SLOW)
    project.write("quick.py", QUICK)
    first = project.start("run", "slow.py", "-j", "1")
    second = project.start("run", "quick.py", "-j", "1")
    project.write(
        "notebook.py",
        "import crucible as cr, time\nfor _ in range(10):\n    cr.open().runs.rows()\n    time.sleep(.1)\nprint('read')\n",
    )
    import subprocess
    import sys

    project.wait_for("select count(*) n from runs", lambda rows: rows and rows[0]["n"] >= 1)
    notebook = subprocess.run(
        [sys.executable, "notebook.py"],
        cwd=project.folder,
        env=project.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert notebook.returncode == 0, notebook.stderr
    for _ in range(5):
        project.run("sql", "select count(*) from runs")
    for process in (first, second):
        out, _ = process.communicate(timeout=100)
        assert process.returncode == 0, out
    assert project.sql("select count(*) n from runs where status = 'completed'")[0]["n"] == 5
    assert project.sql("select sum(void) n from accounting")[0]["n"] is not None
    project.wait_until_empty()


def test_an_engine_that_is_killed_is_replaced_by_the_next_in_line(project):
    project.write("slow.py", SLOW)
    project.hold()
    engine = project.start("engine")
    deadline = time.monotonic() + 20
    while not (project.folder / ".crucible" / "owner.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run = project.start("run", "slow.py")
    project.wait_for("select count(*) n from checkpoints", lambda rows: rows and rows[0]["n"] >= 1)
    engine.kill()
    engine.wait()
    project.let_go()
    out, _ = run.communicate(timeout=100)
    assert run.returncode == 0, out
    assert project.sql(STEPS) == [{"n": 60, "d": 60, "m": 60}]


def test_a_worker_that_is_killed_is_replaced_by_another_from_the_checkpoint(project):
    project.write("slow.py", SLOW)
    project.hold()
    project.start("engine")
    worker = project.start("worker", "-j", "1")
    run = project.start("run", "slow.py", "-j", "0")
    project.wait_for("select count(*) n from checkpoints", lambda rows: rows and rows[0]["n"] >= 1)
    other = project.start("worker", "-j", "1")
    worker.kill()
    worker.wait()
    project.let_go()
    out, _ = run.communicate(timeout=100)
    assert run.returncode == 0, out
    assert project.sql(STEPS) == [{"n": 60, "d": 60, "m": 60}]
    statuses = [row["status"] for row in project.sql("select status from claims order by claimed_at")]
    assert statuses == ["expired", "completed"]
    other.send_signal(signal.SIGTERM)
    other.communicate(timeout=30)
    assert other.returncode == 130


def test_what_a_killed_script_has_measured_is_read_without_an_engine(project):
    project.write(
        "plain.py",
        "import os, signal\nimport crucible as cr\n\nwith cr.start_run('plain') as run:\n"
        "    for step in range(1, 51):\n        run.log({'loss': 1 / step}, step=step)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    import subprocess
    import sys

    killed = subprocess.run(
        [sys.executable, "plain.py"], cwd=project.folder, env=project.environ, check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    points = "select count(*) n, max(step) m from metrics where name = 'loss'"
    assert project.sql(points) == [{"n": 50, "m": 50}]
