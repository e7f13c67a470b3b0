"""How fast a log comes back: the read model made anew, beside a plain read of the log and one that decodes it.

``python -m benchmarks.rebuild`` writes three logs (events alone, points alone, and both as a grid leaves them) and
reads each of them in fresh processes: ``Log.read`` to the end, ``Journal.read`` to the end, and a rebuild into an empty
place with its last commit and the judging of what has ended. Then ``crucible rebuild`` and ``crucible
verify`` as users call them, which make and check the folders of all runs as well, and a report of 200 runs. ``--log
FOLDER`` reads a real one beside them. Exits 6 when a limit is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from benchmarks.lives import EVENTS_PER_RUN
from benchmarks.written_logs import write_lives, write_points
from crucible.journal import Journal, open_journal
from crucible.place import Place
from crucible.projections.identity import TOPICS
from crucible.projections.readmodel import Projector

EVENTS_PER_S_MIN = 20_000
POINTS_PER_S_MIN = 200_000
VERIFY_SHARE = 0.5
REPORT_S_MAX = 10.0
MISSED = 6
LOGS = ("events", "points", "both")
COMMANDS = ("crucible rebuild", "crucible verify")
"""Commands as users call them: read model and folders are made anew, then everything is checked."""
IMPORTS = ("duckdb", "numpy", "crucible.statistics.verdicts", "scipy.special")
"""What a rebuild imports on its way. The commands below import it as well, and there it counts."""
FEW = 10.0
"""Values below it are written with two decimals."""
PAGE = 1_000
"""Records in one read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """What one process measured."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Most memory that the process held, its start included."""
    events: int = 0
    points: int = 0


def plain_read(journal: Journal, _place: Place) -> None:
    """Every value of the projected topics, checked against its checksum and not looked into."""
    for topic in TOPICS:
        for partition in journal.log.partitions(topic):
            offset, end = 0, journal.log.end(topic, partition)
            while offset < end:
                offset = journal.log.read(topic, partition, offset, PAGE)[-1].offset + 1


def decode(journal: Journal, _place: Place) -> None:
    """Every record of the projected topics."""
    for topic in TOPICS:
        for partition in journal.log.partitions(topic):
            offset, end = 0, journal.log.end(topic, partition)
            while offset < end:
                offset = journal.read(topic, partition, offset, PAGE)[-1].stored.offset + 1


def rebuild(journal: Journal, place: Place) -> None:
    """The read model, in a place where there is none."""
    with (
        tempfile.TemporaryDirectory(dir=place.root) as folder,
        contextlib.closing(
            Projector(journal, Place(Path(folder)), is_mirroring=False, is_publishing=False)
        ) as projector,
    ):
        projector.catch_up()
        accounts = projector.accounting().values()
        if any(account.pending or account.dead or account.skipped for account in accounts):
            raise AssertionError(f"not everything was projected: {accounts}")


MEASURES: dict[str, Callable[[Journal, Place], None]] = {
    "plain read": plain_read,
    "decode": decode,
    "rebuild": rebuild,
}


def measure(name: str, root: Path) -> Figures:
    """Run one of ``MEASURES`` in this process, whose imports and opened log are not counted."""
    place = Place(root)
    for module in IMPORTS:
        importlib.import_module(module)
    pa.array(["pandas comes with the first one, where there is one"])
    with contextlib.closing(open_journal(place, actor="benchmark")) as journal:
        began, before_s = time.perf_counter(), cpu_s()
        MEASURES[name](journal, place)
        return Figures(time.perf_counter() - began, cpu_s() - before_s, peak_bytes())


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_bytes() -> int:
    """``ru_maxrss`` of a process that was started by a larger one is that of the larger one."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def in_fresh_process(name: str, root: Path) -> Figures:
    command = [sys.executable, "-m", "benchmarks.rebuild", "--measure", name, "--log", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def counts(root: Path) -> tuple[int, int]:
    """Events and points of a log, whose points are one batch of many each."""
    place = Place(root)
    points = 0
    with contextlib.closing(open_journal(place, actor="benchmark")) as journal:
        offset, end = 0, journal.log.end("telemetry", 0)
        while offset < end:
            entries = journal.read("telemetry", 0, offset, 100)
            points += sum(len(getattr(entry.record, "value", ())) for entry in entries)
            offset = entries[-1].stored.offset + 1
        return journal.log.end("events", 0), points


def write_logs(folder: Path, names: Sequence[str], events: int, points: int) -> dict[str, Path]:
    """The logs, by what is in them."""
    runs = max(1, events // EVENTS_PER_RUN)
    writers: dict[str, Callable[[Journal, Place], None]] = {
        "events": lambda journal, place: write_lives(journal, place, runs, has_telemetry=False),
        "points": lambda journal, _place: write_points(journal, points),
        "both": lambda journal, place: write_lives(journal, place, max(1, runs // 10), has_telemetry=True),
    }
    roots = {name: folder / name / ".crucible" for name in names}
    for name, root in roots.items():
        place = Place(root)
        with contextlib.closing(open_journal(place, actor="benchmark")) as journal:
            writers[name](journal, place)
    return roots


def command(root: Path, *arguments: str) -> Figures:
    """A whole command from start to end, in the folder that the log belongs to."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        started = subprocess.Popen(
            [sys.executable, "-m", "crucible", *arguments], cwd=root.parent, stdout=printed, stderr=printed
        )
        _, status, usage = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        if started.returncode != 0:
            printed.seek(0)
            raise RuntimeError(f"crucible {' '.join(arguments)}: {printed.read().decode()}")
    return Figures(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def compare(title: str, root: Path, tries: int) -> dict[str, Figures]:
    """Read one log in each way by turns, then by the commands; print a line for each and return the best of each."""
    events, points = counts(root)
    taken: dict[str, list[Figures]] = {name: [] for name in (*MEASURES, *COMMANDS)}
    for _ in range(tries):
        for name in MEASURES:
            taken[name].append(in_fresh_process(name, root))
        for name in COMMANDS:
            taken[name].append(command(root, *name.split()[1:]))
    best = {name: min(figures, key=lambda each: each.wall_s) for name, figures in taken.items()}
    print(f"\n{title}: {events:,} events, {points:,} points")
    print(f"{'':18}{'events/s':>12}{'points/s':>12}{'wall s':>9}{'CPU s':>9}{'× read':>8}{'peak MB':>9}")
    for name, each in best.items():
        rates = f"{events / each.wall_s:>12,.0f}{points / each.wall_s:>12,.0f}"
        ratio = each.wall_s / best["plain read"].wall_s
        print(f"{name:18}{rates}{each.wall_s:>9.2f}{each.cpu_s:>9.2f}{ratio:>8.1f}{each.peak_bytes / 1e6:>9.0f}")
    return {name: dataclasses.replace(each, events=events, points=points) for name, each in best.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=5_000_000)
    parser.add_argument("--logs", nargs="*", choices=LOGS, default=LOGS, help="which logs to write and read")
    parser.add_argument("--tries", type=int, default=3, help="the best one counts: noise only ever slows down")
    parser.add_argument("--log", type=Path, help="a folder .crucible whose log is read as well")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure is not None:
        print(json.dumps(dataclasses.asdict(measure(options.measure, options.log))))
        return 0
    with tempfile.TemporaryDirectory(prefix="crucible-benchmark-") as temporary:
        logs = write_logs(Path(temporary), options.logs, options.events, options.points)
        found = {name: compare(name, root, options.tries) for name, root in logs.items()}
        if options.log is not None:
            compare(str(options.log), options.log, options.tries)
        print("\nlimits:")
        kept = list(judged(found))
        if "both" in logs:
            report_s = command(logs["both"], "report", "digits_lora#1").wall_s
            kept.append(is_kept("report of 200 runs, s", report_s, at_most=REPORT_S_MAX))
    return 0 if all(kept) else MISSED


def judged(found: dict[str, dict[str, Figures]]) -> Iterator[bool]:
    """Whether each limit of reading again is kept, and a line for it."""
    for name, share in (("rebuild", 1), ("crucible verify", VERIFY_SHARE)):
        if "events" in found:
            each = found["events"][name]
            yield is_kept(f"{name}, events/s", each.events / each.wall_s, at_least=EVENTS_PER_S_MIN * share)
        if "points" in found:
            each = found["points"][name]
            yield is_kept(f"{name}, points/s", each.points / each.wall_s, at_least=POINTS_PER_S_MIN * share)


def is_kept(title: str, value: float, *, at_least: float = 0.0, at_most: float = math.inf) -> bool:
    is_met = at_least <= value <= at_most
    bound = f"at least {at_least:,.10g}" if at_least else f"at most {at_most:,.10g}"
    print(f"{title:28}{value:>12,.{1 if value >= FEW else 2}f}  {bound}: {'met' if is_met else 'missed'}")
    return is_met


if __name__ == "__main__":
    sys.exit(main())
