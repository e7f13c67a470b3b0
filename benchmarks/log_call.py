"""What a call of ``run.log`` costs inside a live training loop, while a parent process drains the spool.

``python -m benchmarks.log_call`` prints p50 and p99 for one name and for eight, beside a JSON line written to a
buffered file, which a kill loses. Exits 6 when p50 for one name is above 2 µs. A stage's process logs; its parent holds
the drain and the log, as a worker does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from crucible.board import Board, open_page
from crucible.journal import open_journal
from crucible.place import Place
from crucible.producers.drain import Drain
from crucible.run import Run
from crucible.spool.writer import SpoolWriter
from crucible.stage_call import Services, StageCall

P50_US_MAX = 2.0
"""The limit for one name."""
EXIT_MISSED = 6
NAMES = (1, 8)
CLAIM = "benchmark"
DRAINED_WITHIN_S = 60.0

Log = Callable[[Mapping[str, float], int], None]


def stage_call(place: Place) -> StageCall:
    """A call of a stage that needs nothing."""
    return StageCall(
        run_id="run",
        ref="benchmark#1/1",
        experiment="benchmark",
        label="",
        repeat=1,
        params={},
        stage="fit",
        attempt=1,
        claim_id=CLAIM,
        seed=1,
        stage_type="benchmark",
        command=None,
        options={},
        inputs={},
        metrics={},
        datasets={},
        adapter=None,
        code_path=None,
        code_digest="",
        checkpoint_every_ms=30_000,
        steps_max=None,
        is_smoke=False,
        scratch=str(place.scratch),
        spool=str(place.spool / CLAIM),
        blobs=str(place.blobs),
        kept=str(place.root / "kept"),
    )


def training_loop(log: Log, *, names: int, steps: int) -> list[int]:
    """Train a small linear model with NumPy and log each step; returns the nanoseconds that each call took."""
    import numpy as np

    stream = np.random.default_rng(0)
    features, targets = stream.normal(size=(64, 32)), stream.normal(size=64)
    weights = np.zeros(32)
    keys = [f"train/metric-{number}" for number in range(names)]
    took: list[int] = []
    for step in range(1, steps + 1):
        error = features @ weights - targets
        weights -= 0.001 * (features.T @ error)
        loss = float(error @ error)
        values = dict.fromkeys(keys, loss)
        before = time.perf_counter_ns()
        log(values, step)
        took.append(time.perf_counter_ns() - before)
    return took


def quantiles(took: list[int]) -> dict[str, float]:
    """p50, p99 and the longest, in microseconds."""
    ordered = sorted(took)
    picked = {"p50": len(ordered) // 2, "p99": len(ordered) * 99 // 100, "max": len(ordered) - 1}
    return {name: ordered[index] / 1000 for name, index in picked.items()}


def stage_process(place: Place, steps: int) -> dict[str, Any]:
    """What the forked process does: measure ours and the JSON line in turns."""
    call = stage_call(place)
    writer = SpoolWriter(Path(call.spool), CLAIM, run_id=call.run_id, stage=call.stage, attempt=call.attempt)
    run = Run(call, writer, cast("Services", None), board=Board(open_page()))
    took: dict[str, list[int]] = {}
    with (place.root / "lines.jsonl").open("w") as file:

        def write_line(values: Mapping[str, float], step: int) -> None:
            file.write(json.dumps({"step": step, "time": time.time(), **values}) + "\n")

        for names in NAMES:
            for _ in range(2):
                took.setdefault(f"run.log {names}", []).extend(
                    training_loop(lambda values, step: run.log(values, step=step), names=names, steps=steps)
                )
                took.setdefault(f"json line {names}", []).extend(training_loop(write_line, names=names, steps=steps))
    mark = writer.mark()
    writer.close()
    return {"points": mark[f"{CLAIM}.m"], **{name: quantiles(values) for name, values in took.items()}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50_000, help="calls in each of the two turns")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="crucible-benchmark-") as folder:
        place = Place(Path(folder))
        place.create()
        begin_read, begin_write = os.pipe()
        answer_read, answer_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(begin_write)
            if not os.read(begin_read, 1):
                os._exit(1)  # the parent is gone
            os.write(answer_write, json.dumps(stage_process(place, options.steps)).encode())
            os._exit(0)
        journal = open_journal(place, actor="benchmark")
        drain = Drain(journal, place)
        drain.attach(place.spool / CLAIM, "run", "fit", 1, CLAIM)
        os.write(begin_write, b".")
        measured = json.loads(os.read(answer_read, 65536))
        os.waitpid(pid, 0)
        drained = drain.flush(CLAIM, DRAINED_WITHIN_S).get(f"{CLAIM}.m", 0)
        drain.close()
        journal.close()
    points = measured.pop("points")
    print(f"{'':<16}{'p50 µs':>10}{'p99 µs':>10}{'max µs':>12}")
    for name, values in measured.items():
        print(f"{name:<16}{values['p50']:>10.2f}{values['p99']:>10.2f}{values['max']:>12.1f}")
    print(f"{points} points logged, {drained} on the log")
    is_met = measured["run.log 1"]["p50"] <= P50_US_MAX and drained == points
    print(f"limit: p50 of one name at most {P50_US_MAX} µs: {'met' if is_met else 'missed'}")
    return 0 if is_met else EXIT_MISSED


if __name__ == "__main__":
    sys.exit(main())
