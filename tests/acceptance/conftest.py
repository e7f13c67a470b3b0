"""The command line as a user has it: a folder, files in it, and commands with exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.launcher import is_ready_for, launcher

TIMEOUT_S = 120
STARTED_AFRESH = {"digest", "rebuild", "reproduce", "verify"}
"""Commands that compare: no two of them may share anything, not even the seed of Python's hashes."""
QUICK = """
import crucible as cr

@cr.stage(metrics={"score": cr.metric(unit="ratio", better="higher", range=(0, 1))})
def fit(run: cr.Run, *, x: float = 0.5, fail: bool = False) -> dict[str, float]:
    if fail:
        raise ValueError("this one fails")
    for step, _ in run.steps(range(3)):
        run.log({"loss": 1.0 / step}, step=step)
    return {"score": x + run.repeat / 1000}

experiment = cr.Experiment("quick", seed=3, repeat=2, select="score", margin=0.05, parameters={"x": [0.25, 0.5]},
    stages=[fit], quality_targets={"score": cr.at_least(0.2)})
"""
SLOW = """
import json, time
from pathlib import Path
import crucible as cr

HELD = Path(__file__).with_name("held")

@cr.stage(metrics={"total": cr.metric(unit="step", better="higher")})
def count(run: cr.Run, *, steps: int = 60, pause: float = 0.05) -> dict[str, float]:
    total, start = 0, 0
    if checkpoint := run.resume():
        total, start = json.loads((checkpoint.path / "state.json").read_text()), checkpoint.step
    for step, _ in run.steps(range(steps), start=start):
        total += step
        run.log({"total": total}, step=step)
        time.sleep(pause)
        if run.checkpoint_due or step % 10 == 0:
            with run.checkpoint(step) as folder:
                (folder / "state.json").write_text(json.dumps(total))
        until = time.monotonic() + 1.0
        while step > 20 and HELD.exists() and not run.checkpoint_due and time.monotonic() < until:
            time.sleep(0.01)
    return {"total": float(total)}

experiment = cr.Experiment("slow", stages=[count])
"""
"""Once it has saved two checkpoints, it does at most one step a second while its project is held."""


class Project:
    """A user's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("CRUCIBLE_")}

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str, code: int | None = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        variables = {**self.environ, **environ}
        if {*arguments[:1]} & STARTED_AFRESH or not is_ready_for(variables):
            done = subprocess.run(
                [sys.executable, "-m", "crucible", *arguments], cwd=self.folder, env=variables,
                capture_output=True, text=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        else:
            done = launcher().run(list(arguments), self.folder, variables, TIMEOUT_S)
        if code is not None:
            assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "crucible", *arguments], cwd=self.folder, env={**self.environ, **environ},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.started.append(process)
        return process

    def hold(self) -> None:
        """Let no ``SLOW`` run come to its end."""
        self.write("held", "")

    def let_go(self) -> None:
        """Let it come to its end."""
        (self.folder / "held").unlink()

    def sql(self, query: str) -> list[dict]:
        return json.loads(self.run("sql", query, "--format", "json").stdout)

    def wait_for(self, query: str, what, timeout_s: float = 60) -> list[dict]:
        """Ask until ``what(rows)`` holds."""
        deadline = time.monotonic() + timeout_s
        while True:
            done = self.run("sql", query, "--format", "json", code=None)
            rows = json.loads(done.stdout) if done.returncode == 0 else []
            if what(rows):
                return rows
            assert time.monotonic() < deadline, f"{query}: {done.stdout} {done.stderr}"
            time.sleep(0.1)

    def processes(self) -> list[int]:
        """Living processes that work in this folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                cwd = (entry / "cwd").readlink()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if (cwd == self.folder or self.folder in cwd.parents) and state != "Z":
                found.append(int(entry.name))
        return found

    def wait_until_empty(self, timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while left := self.processes():
            assert time.monotonic() < deadline, f"processes left behind: {left}"
            time.sleep(0.05)

    def kill(self) -> None:
        """End what was started and is still there."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder)
    yield made
    made.kill()
