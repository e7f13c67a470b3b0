"""``start_run`` in a script of its own process: completed, failed, killed, beside another, and forked."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import crucible

BEGIN = """
import os, signal, sys, time
import crucible as cr
"""
TIMEOUT_S = 120


def run_script(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    file = folder / "tune.py"
    file.write_text(BEGIN + textwrap.dedent(body))
    return subprocess.run(
        [sys.executable, str(file)], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def ask(folder: Path, sql: str) -> list[dict[str, Any]]:
    return crucible.open(folder / ".crucible").sql(sql).rows()


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CRUCIBLE_LOG", "CRUCIBLE_ADAPTER", "CRUCIBLE_ATTACH"):
        monkeypatch.delenv(name, raising=False)


def test_a_script_is_a_run_with_params_points_and_results(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        declared = {"loss": cr.metric(unit="nat", better="lower")}
        with cr.start_run("tune", params={"rate": 0.5}, metrics=declared, tags=["mine"]) as run:
            for step, item in run.steps([4.0, 2.0, 1.0]):
                run.log({"loss": item})
            assert cr.current_run() is run
            print(run.ref)
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "tune#1/base.1\n", "")
    assert ask(tmp_path, "SELECT ref, status FROM runs") == [{"ref": "tune#1/base.1", "status": "completed"}]
    assert ask(tmp_path, "SELECT name, value FROM result_metrics") == [{"name": "loss", "value": 1.0}]
    assert [row["value"] for row in ask(tmp_path, "SELECT value FROM metrics_effective ORDER BY step")] == [4, 2, 1]
    assert list((tmp_path / ".crucible" / "spool").iterdir()) == []


def test_what_a_script_raises_is_raised_and_fails_its_run(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        with cr.start_run("tune") as run:
            raise ValueError("no such thing")
        """,
    )
    assert done.returncode == 1
    assert "ValueError: no such thing" in done.stderr
    (run,) = ask(tmp_path, "SELECT status, reason FROM runs")
    assert run == {"status": "failed", "reason": "script: ValueError: no such thing"}


def test_the_last_step_that_a_killed_script_logged_is_the_last_one_read(tmp_path: Path) -> None:
    killed = run_script(
        tmp_path,
        """
        with cr.start_run("tune") as run:
            for step in range(1, 4322):
                run.log({"loss": 1 / step}, step=step)
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    assert killed.returncode == -signal.SIGKILL
    after = run_script(
        tmp_path,
        """
        with cr.start_run("tune") as run:
            run.log({"loss": 0.0}, step=1)
            for _ in range(300):
                if cr.open().sql("SELECT 1 FROM runs WHERE status = 'failed'").rows():
                    break
                time.sleep(0.1)
        """,
    )
    assert after.returncode == 0, after.stderr
    counts = ask(
        tmp_path,
        "SELECT r.status, count(*) AS points, max(m.step) AS last FROM runs r JOIN metrics_effective m USING (run_id)"
        " GROUP BY r.run_id, r.status ORDER BY points",
    )
    assert counts == [
        {"status": "completed", "points": 1, "last": 1},
        {"status": "failed", "points": 4321, "last": 4321},
    ]


def test_a_process_that_a_script_forked_logs_into_the_same_run_and_does_not_end_it(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        try:
            with cr.start_run("tune") as run:
                run.log({"parent": 1.0}, step=1)
                pid = os.fork()
                if pid == 0:
                    run.log({"child": 1.0}, step=1)
                    sys.exit(0)
                os.waitpid(pid, 0)
                run.log({"parent": 2.0}, step=2)
        except SystemExit:
            os._exit(0)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in ask(tmp_path, "SELECT status FROM runs")] == ["completed"]
    names = ask(tmp_path, "SELECT name, count(*) AS points FROM metrics_effective GROUP BY name ORDER BY name")
    assert names == [{"name": "child", "points": 1}, {"name": "parent", "points": 2}]


def test_a_wrong_call_writes_nothing(tmp_path: Path) -> None:
    done = run_script(tmp_path, "with cr.start_run('a/b', sed=1) as run: pass")
    assert done.returncode == 1
    assert "did you mean 'seed'" in done.stderr
    assert not (tmp_path / ".crucible").exists()
