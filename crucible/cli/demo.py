"""``crucible demo``: the main job on screen, with a worker killed in the middle."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from crucible.cli import exits
from crucible.cli.compose import open_reader
from crucible.cli.text import columns, say, warn
from crucible.errors import InternalError
from crucible.following import follow
from crucible.place import Place
from crucible.records import CheckpointSaved, Record, StageClaimed, StageCompleted, StageResumed, WorkerStarted
from crucible.rules.world import World
from crucible.settings import Settings, load_settings

WORKERS = 2
STEP_TIMEOUT_S = 600.0
"""How long the demo waits for any one thing."""
CHECKPOINTS_BEFORE_KILL = 2
KILL_AFTER_S = 0.1
"""So that the dead worker has done steps that its successor does again."""
CHECKPOINTS_SHOWN_MAX = 3
STOP_TIMEOUT_S = 20.0
GRID, LONG = "digits_lora.py", "digits_long.py"


def demo(keep: Path | None) -> int:
    """Run the demo in a folder of its own; the exit code of its grid."""
    folder = (keep or Path("artifacts") / "demo" / time.strftime("%Y%m%d-%H%M%S", time.gmtime())).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    examples = _examples(folder)
    environ = {**os.environ, "CRUCIBLE_LOG": str(folder / ".crucible"), "CRUCIBLE_OUTPUT_DIR": str(folder / "runs")}
    began = time.monotonic()
    say(f"demo in {folder}")
    with _Cast(environ, folder) as cast:
        say("one engine and two workers, each a process of its own")
        cast.start("engine")
        for _ in range(WORKERS):
            cast.start("worker", "-j", "1")
        os.environ.update(CRUCIBLE_LOG=environ["CRUCIBLE_LOG"], CRUCIBLE_OUTPUT_DIR=environ["CRUCIBLE_OUTPUT_DIR"])
        settings = load_settings(start=folder)
        _await_log(settings.place)
        _takeover(cast, examples, settings)
        say()
        say("now the grid: 4 learning rates × 5 ranks × 10 repeats, trained for real")
        code = cast.run("run", str(examples / GRID), "-j", "0", "--force")
    say(f"\nall of it took {time.monotonic() - began:.0f} s. What it made:")
    say(f"  log and blobs  {folder / '.crucible'}")
    say(f"  run folders    {folder / 'runs'}")
    say(f"  look at it     cd {folder} && {Path(sys.argv[0]).name} ls --sort=-test/accuracy")
    return exits.FINE if code == exits.TARGET else code


def _takeover(cast: _Cast, examples: Path, settings: Settings) -> None:
    """A longer run, its worker killed right after a checkpoint, and the other one going on from there."""
    say("\na longer run first, with a checkpoint about every second")
    longer = cast.begin("run", str(examples / LONG), "-j", "0", "--force")
    pids: dict[str, int] = {}
    saved: list[CheckpointSaved] = []
    claims: list[StageClaimed] = []
    killed_at = 0.0
    after_resume = 0
    has_resumed = False
    for record in _events_that_count():
        if isinstance(record, WorkerStarted):
            pids[record.worker_id] = record.pid
        elif isinstance(record, StageClaimed):
            claims.append(record)
            after = f", {time.monotonic() - killed_at:.1f} s after the kill" if killed_at else ""
            say(f"  {record.stage} claimed by worker {_short(record.worker_id)} (pid {pids[record.worker_id]}){after}")
        elif isinstance(record, CheckpointSaved):
            saved.append(record)
            after_resume += bool(killed_at)
            if after_resume <= CHECKPOINTS_SHOWN_MAX:
                say(f"  checkpoint at step {record.step}, digest {record.digest[:12]}")
            if len(saved) == CHECKPOINTS_BEFORE_KILL and not killed_at:
                pid = pids[claims[-1].worker_id]
                time.sleep(KILL_AFTER_S)
                say(f"  kill -9 {pid}")
                cast.kill(pid)
                killed_at = time.monotonic()
        elif isinstance(record, StageResumed):
            same = next(each for each in saved if each.event_id == record.checkpoint_event_id)
            has_resumed = True
            say(f"  resumed from step {record.step}, digest {same.digest[:12]}")
        elif isinstance(record, StageCompleted) and killed_at:
            say(f"  … {len(saved)} checkpoints in all; the last one is of step {saved[-1].step}")
            break
    cast.wait(longer)
    if not has_resumed:
        message = "the demo saw no takeover"
        raise InternalError(message)
    cast.start("worker", "-j", "1")
    _show_steps(settings, claims[0].run_id)


def _events_that_count() -> Iterator[Record]:
    """Events from the first on, without void ones: of two claims at once, that of the worker that came second."""
    world = World()
    for followed in follow(since="start", timeout_s=STEP_TIMEOUT_S):
        if world.apply(followed.record) is None:
            yield followed.record


def _show_steps(settings: Settings, run_id: str) -> None:
    with open_reader(settings) as reader:
        rows = reader.rows(
            "SELECT m.name, count(*) AS points, count(*) FILTER (m.is_effective) AS effective,"
            " count(DISTINCT m.step) FILTER (m.is_effective) AS steps FROM metrics m WHERE m.run_id = ?"
            " GROUP BY ALL ORDER BY 1",
            [run_id],
        )
    say("  every step counts once; what the dead worker did after its checkpoint is kept and superseded:")
    table = columns(["metric", "points kept", "points that count", "steps"], [list(row.values()) for row in rows])
    say("\n".join(f"    {line}" for line in table.splitlines()))


def _short(worker_id: str) -> str:
    return worker_id[-8:]


def _await_log(place: Place) -> None:
    deadline = time.monotonic() + STEP_TIMEOUT_S
    while not place.owner.exists():
        if time.monotonic() > deadline:
            message = "the engine did not start"
            raise InternalError(message)
        time.sleep(0.05)


def _examples(folder: Path) -> Path:
    """The demo's experiments, copied beside its log so that what ran stays with what came out."""
    from crucible.cli.start import template_text

    for name in (GRID, LONG):
        (folder / name).write_text(template_text(name), encoding="utf-8")
    return folder


class _Cast:
    """The demo's processes: started here, ended here."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                warn(f"process {process.pid} did not stop and is killed")
                process.kill()
                process.wait()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a part; what it prints goes to a file of the demo's folder."""
        name = f"{arguments[0]}-{len(self._processes)}.log"
        with (self._folder / name).open("wb") as output:
            process = self._popen(arguments, stdout=output, stderr=subprocess.STDOUT)
        self._processes.append(process)
        return process

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command whose output is not shown."""
        return self._popen(arguments, stdout=subprocess.DEVNULL, stderr=None)

    def run(self, *arguments: str) -> int:
        """Run a command on screen; its exit code."""
        return self.wait(self._popen(arguments, stdout=None, stderr=None))

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a command's end."""
        try:
            return process.wait(STEP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            message = f"a command of the demo took more than {STEP_TIMEOUT_S:.0f} s"
            raise InternalError(message) from None

    def kill(self, pid: int) -> None:
        """Kill one of our own processes with -9."""
        for process in self._processes:
            if process.pid == pid:
                process.kill()
                process.wait()
                return
        message = f"process {pid} is none of the demo's"
        raise InternalError(message)

    def _popen(self, arguments: tuple[str, ...], *, stdout: Any, stderr: int | None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "crucible", *arguments]
        return subprocess.Popen(command, cwd=self._folder, env=self._environ, stdout=stdout, stderr=stderr)
