"""What a user waits for: `crucible run` of one empty stage in a cold process, `crucible ls` with 5,000 runs."""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.stages import EMPTY
from crucible.cli.compose import Host
from crucible.cli.run import submission_fields
from crucible.definition.load import load_experiment
from crucible.processors.zygote import Zygote
from crucible.settings import load_settings

RUN_LIMIT_S = 1.0
LIST_LIMIT_S = 0.3
RUNS = 5_000
TRIES = 9
TIMEOUT_S = 300.0
MISSED = 6


def timed(folder: Path, *arguments: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "crucible", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return took


def fill(zygote: Zygote, folder: Path) -> None:
    """5,000 real runs of an empty stage."""
    file = folder / "empty.py"
    file.write_text(EMPTY.format(calls=1, grid=RUNS))
    settings = load_settings(start=folder, environ={}, jobs=2)
    loaded = load_experiment(f"{file}:grid")
    with Host(settings, zygote, jobs=2) as host:
        host.start_worker()
        host.sender.submit(submission_fields(loaded, str(settings.output_dir), is_smoke=False, environment_json="{}"))
        deadline = time.monotonic() + TIMEOUT_S
        with host.reader() as reader:
            while not reader.rows("SELECT 1 FROM submissions WHERE closed_at IS NOT NULL"):
                host.check()
                if time.monotonic() > deadline:
                    message = f"{RUNS} runs did not end within {TIMEOUT_S} s"
                    raise TimeoutError(message)
                time.sleep(0.2)


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "one.py").write_text(EMPTY.format(calls=1, grid=1))
        cold = []
        for number in range(TRIES):
            place = folder / str(number)
            place.mkdir()
            (place / "one.py").write_text((folder / "one.py").read_text())
            cold.append(timed(place, "run", "one.py:grid", "-j", "1"))
        many = folder / "many"
        many.mkdir()
        with contextlib.closing(Zygote.start()) as zygote:
            fill(zygote, many)
        timed(many, "ls")
        listed = [timed(many, "ls") for _ in range(TRIES)]
        bare = [timed_python(folder) for _ in range(TRIES)]
    rows = [
        ("python -c pass", bare, None),
        ("crucible run, one empty stage, new folder", cold, RUN_LIMIT_S),
        (f"crucible ls, {RUNS:,} runs, no engine", listed, LIST_LIMIT_S),
    ]
    for title, times, limit in rows:
        bound = f"limit {limit} s" if limit else ""
        print(f"{title:44} median {statistics.median(times):.3f} s  ({min(times):.3f} to {max(times):.3f})  {bound}")
    return 0 if all(limit is None or statistics.median(times) <= limit for _, times, limit in rows) else MISSED


def timed_python(folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], cwd=folder, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
