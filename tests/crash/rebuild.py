"""``crucible rebuild`` is killed with -9 at each of its steps: it must harm nothing.

``python -m tests.crash.rebuild`` damages the read model, a folder, a blob and the snapshot of a small log, lets a
child rebuild it and kills it at each visit of each point ``rebuild:…`` and ``mirror:…``. After each kill the log and
every blob that was whole is as it was, another process reads the log through whatever read model is there, and one
more rebuild makes everything as the log gives it, to the byte. Exits 5 if not, 1 if a point was never hit.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import crucible.faults
from crucible.cli.engine import EngineLock
from crucible.cli.living import copy_living
from crucible.faults import VARIABLE
from crucible.place import Place
from crucible.projections.local_reader import open_local_reader
from crucible.projections.rebuilding import Rebuild
from crucible.projections.verification.verification import Verification
from crucible.projections.workbench import open_workbench
from tests.crash.mirrors import contents, in_fork
from tests.projections.damages import DAMAGES, prepare

MEMORY = "256MB"
DONE = (
    "two results have traded places in the model",
    "a deleted row in the model",
    "an edited manifest",
    "a deleted run folder",
    "a missing blob of which a run's folder has a copy",
    "an edited report",
    "a wrong value in the snapshot",
)
_STEPS = (
    "compared",
    "folded",
    "folders-written",
    "report-rendered",
    "built",
    "before-name",
    "named",
    "before-aside",
    "before-adoption",
    "after-adoption",
)
POINTS = frozenset(f"rebuild:{step}" for step in _STEPS)


@contextlib.contextmanager
def silent(_what: str, _progress: object) -> Iterator[None]:
    """Say nothing."""
    yield


def damage(place: Place) -> None:
    """Do every damage that a rebuild undoes."""
    for each in DAMAGES:
        if each.sentence in DONE:
            each.act(place)


def rebuild(place: Place) -> None:
    """Rebuild everything."""
    with open_workbench(place) as bench:
        copied = copy_living(place, bench)
        lock = EngineLock(place)
        Rebuild(place, bench, copied, lock, actor="test", memory_limit=MEMORY, watch=silent).run()


def failures(place: Place) -> list[str]:
    """What verify finds."""
    with open_workbench(place) as bench:
        copied = copy_living(place, bench)
        checks = Verification(place, bench, copied, actor="test", memory_limit=MEMORY, watch=silent).run()
    return [failure.what for check in checks for failure in check.failures]


def read(place: Place) -> None:
    """What any command does first: it asks the read model, whatever there is."""
    with open_local_reader(place, actor="test") as reader:
        assert reader.rows("SELECT count(*) AS n FROM runs")[0]["n"] == 2


def truth(place: Place) -> dict[str, str]:
    """Digests of the blobs and of the log's batches."""
    files = [path for path in sorted(place.blobs.rglob("*")) if path.is_file() and "temporary" not in path.parts]
    found = {str(path.relative_to(place.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    log = hashlib.sha256()
    for name in ("log.db", "log.db-wal"):
        log.update((place.log / name).read_bytes())
    return {**found, "log": log.hexdigest()}


def visits_of(place: Place, journal: Path) -> Counter[str]:
    """How often an undisturbed rebuild comes to each point."""

    def act() -> None:
        real = crucible.faults.fault_point
        for module in list(sys.modules.values()):
            if getattr(module, "fault_point", None) is real:
                module.fault_point = lambda name: _note(journal, name)
        rebuild(place)

    assert in_fork(act) == 0
    return Counter(name for name in journal.read_text().splitlines() if name.startswith(("mirror:", "rebuild:")))


def _note(journal: Path, name: str) -> None:
    with journal.open("a") as file:
        file.write(f"{name}\n")


def trial(base: Path, work: Path, point: str, visit: int, wanted: dict[str, bytes]) -> list[str]:
    """Kill a rebuild at one visit of one point; what it has harmed."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work, symlinks=True)
    place = Place(work / ".crucible")
    before = truth(place)
    problems = []
    if in_fork(lambda: rebuild(place), {VARIABLE: f"{point}=kill@{visit}"}) != -signal.SIGKILL:
        problems.append("was not hit")
    after = truth(place)
    problems += [f"{name} was changed" for name in before if before[name] != after.get(name)]
    if in_fork(lambda: read(place)) != 0:
        problems.append("the next command could not read the log")
    if in_fork(lambda: rebuild(place)) != 0:
        problems.append("the next rebuild failed")
    answer = work / "failures"
    in_fork(lambda: answer.write_text(json.dumps(failures(place))) and None)
    problems += json.loads(answer.read_text())
    now = contents(place)
    problems += [f"{name} differs" for name in sorted(now.keys() | wanted.keys()) if now.get(name) != wanted.get(name)]
    return [f"{point}@{visit}: {problem}" for problem in problems]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default="", help="which, with commas; default: all")
    parser.add_argument("--visits", type=int, help="most visits of each point")
    arguments = parser.parse_args()
    kills, problems = 0, []
    with tempfile.TemporaryDirectory(prefix="crucible-rebuild-") as name:
        base = Path(name) / "base"
        place = Place(base / ".crucible")
        assert in_fork(lambda: prepare(place)) == 0
        wanted = contents(place)
        assert in_fork(lambda: damage(place)) == 0
        undisturbed = Path(name) / "undisturbed"
        shutil.copytree(base, undisturbed, symlinks=True)
        visits = visits_of(Place(undisturbed / ".crucible"), Path(name) / "visits")
        chosen = set(filter(None, arguments.points.split(","))) or set(visits)
        for point, count in sorted(visits.items()):
            for visit in range(1, min(count, arguments.visits or count) + 1) if point in chosen else ():
                problems += trial(base, Path(name) / "work", point, visit, wanted)
                kills += 1
    print(f"{kills} kills at {len(chosen)} points")
    for problem in problems:
        print(f"WRONG: {problem}")
    missed = (chosen if arguments.points else POINTS | chosen) - visits.keys()
    for point in sorted(missed):
        print(f"NEVER HIT: {point}")
    return 5 if problems else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
