"""The writer of folders is killed with -9 at each of its writes, and a new one goes on: no byte may differ.

``python -m tests.crash.mirrors`` lets a read model of a small log settle once and counts how often it comes to each
point ``mirror:…``. Then, for each visit of each point, a child settles from the same state and is killed there; after
the kill every folder that has its name is the old one or the new one, whole; a second child goes on, and every file is
compared with those of the undisturbed run. The state has a run that was reopened, whose folder is replaced, and files
of others in it. Exits 5 if anything differs, 1 if a point was never hit.

``--no-exchange`` does the same where two names can't be traded in one step; then a folder may be absent until the
restart. ``--visits 2`` tries at most two visits of each point: the first and the last. ``--sabotage`` replaces folders file by
file: the comparison must fail then.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import crucible.faults
import crucible.projections.mirror
import crucible.projections.mirror_publish
from crucible.blobs import FolderBlobs
from crucible.faults import VARIABLE
from crucible.journal import open_journal
from crucible.place import Place
from crucible.projections.mirror_files import Written
from crucible.projections.readmodel import Projector
from tests.projections.history import History

POINTS = frozenset(
    f"mirror:{name}"
    for name in [
        "folder-begun",
        "file-begun",
        "file-written",
        "blob-placed",
        "before-sync",
        "after-sync",
        "before-name",
        "after-name",
        "after-exchange",
        "other-moved",
        "old-removed",
        "names-synced",
        "page-begun",
        "page-written",
        "page-named",
        "committed",
    ]
)
WITHOUT_EXCHANGE = POINTS - {"mirror:after-exchange"} | {"mirror:old-aside"}
THEIRS = {"notes.txt": b"mine", "reports/run.html": b"<p>theirs</p>"}


def prepare(folder: Path) -> tuple[Place, dict[str, bytes]]:
    """A log whose first run has a folder with files of others and was reopened and ended again; the old files."""
    place = Place(folder / ".crucible")
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        history = History(journal)
        history.submit(2)
        weights = FolderBlobs(place.blobs).put_bytes(b"weights")
        files = [{"path": "model/weights.bin", "size_bytes": 7, "sha256": weights}]
        history.whole_run("r1")
        history.create("r2", repeat=2, stages=("fit",))
        history.start("r2")
        history.request("r2")
        history.claim("r2", "c3")
        history.add(
            "DatasetUsed", **history.where("r2", "c3"), name="digits", digest="d", items={"test": 9}, source_json="{}"
        )
        history.points("r2", "c3", [1.0, 2.0])
        history.checkpoint("r2", "c3", 2, files=files)
        history.complete("r2", "c3", metrics={"val/accuracy": 0.5})
        settle(place)
        first = place.root.parent / "out/digits/001-lr0.1"
        for name, data in THEIRS.items():
            (first / name).parent.mkdir(exist_ok=True)
            (first / name).write_bytes(data)
        old = contents(place)
        history.add("RunReopened", run_id="r1", generation=2, from_stage="score")
        history.start("r1", 2)
        history.request("r1", "score", 2, 2)
        history.claim("r1", "r1-c3", "score", 2)
        history.complete("r1", "r1-c3", "score", {"test/accuracy": 1.0}, attempt=2)
        history.finish("r1", 2)
        history.finish("r2")
        history.close(2)
    return place, old


def settle(place: Place) -> None:
    """Read everything and write every folder."""
    with (
        contextlib.closing(open_journal(place, actor="test")) as journal,
        contextlib.closing(Projector(journal, place, is_publishing=False)) as model,
    ):
        model.settle()


def contents(place: Place) -> dict[str, bytes]:
    """Every file beside the log's folder, hidden ones too."""
    root = place.root.parent
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted((root / "out").rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def in_fork(act: Callable[[], None], environ: dict[str, str] | None = None) -> int:
    """How a forked child that acts under these variables ends: 0, or minus the signal."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.environ.update(environ or {})
            crucible.faults._armed = None
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def visits_of(place: Place, journal: Path) -> Counter[str]:
    """How often an undisturbed writer comes to each point."""

    def act() -> None:
        def note(name: str) -> None:
            with journal.open("a") as file:
                file.write(f"{name}\n")

        real = crucible.faults.fault_point
        for module in list(sys.modules.values()):
            if getattr(module, "fault_point", None) is real:
                module.fault_point = note
        settle(place)

    assert in_fork(act) == 0
    return Counter(name for name in journal.read_text().splitlines() if name.startswith("mirror:"))


def half_written(place: Place, old: dict[str, bytes], new: dict[str, bytes], *, may_be_absent: bool) -> Iterator[str]:
    """What is neither the old folder nor the new one, of those that have their names."""
    now = contents(place)
    for folder in sorted({str(Path(name).parent) for name in new if name.endswith("manifest.json")}):
        ours = {
            name: data for name, data in now.items() if name.startswith(f"{folder}/") and not _is_theirs(name, folder)
        }
        states = [
            {
                name: data
                for name, data in state.items()
                if name.startswith(f"{folder}/") and not _is_theirs(name, folder)
            }
            for state in (old, new)
        ]
        if ours not in states and not (may_be_absent and not ours):
            yield f"{folder} is neither the old one nor the new one"


def _is_theirs(name: str, folder: str) -> bool:
    rest = name.removeprefix(f"{folder}/")
    return rest in THEIRS or "/." in f"/{rest}" or (folder.count("/") == 1 and "/" in rest)


def trial(base: Path, work: Path, point: str, visit: int, old: dict[str, bytes], new: dict[str, bytes]) -> list[str]:
    """Kill at one visit of one point, go on, and compare."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    place = Place(work / ".crucible")
    where = f"{point}@{visit}"
    if in_fork(lambda: settle(place), {VARIABLE: f"{point}=kill@{visit}"}) != -signal.SIGKILL:
        return [f"{where}: was not hit"]
    may_be_absent = crucible.projections.mirror_publish.exchange is _no_exchange
    problems = list(half_written(place, old, new, may_be_absent=may_be_absent))
    if in_fork(lambda: settle(place)) != 0:
        problems.append("the next writer failed")
    now = contents(place)
    problems += [f"{name} differs" for name in sorted(now.keys() | new.keys()) if now.get(name) != new.get(name)]
    return [f"{where}: {problem}" for problem in problems]


def run(
    folder: Path, *, visits_max: int | None = None, points: frozenset[str] = POINTS | WITHOUT_EXCHANGE
) -> tuple[int, list[str], set[str]]:
    """Kills, problems, and points that were hit."""
    _place, old = prepare(folder / "base")
    undisturbed = folder / "undisturbed"
    shutil.copytree(folder / "base", undisturbed)
    visits = visits_of(Place(undisturbed / ".crucible"), folder / "visits")
    new = contents(Place(undisturbed / ".crucible"))
    for manifest in (name for name in new if name.endswith("manifest.json")):
        for file in json.loads(new[manifest]).get("files", []):
            data = new[f"{Path(manifest).parent}/{file['path']}"]
            assert Written(file["path"], len(data), hashlib.sha256(data).hexdigest()) == Written(**file)
    kills, problems = 0, []
    for point, count in sorted(visits.items()):
        if point not in points:
            continue
        chosen = range(1, count + 1) if visits_max is None else sorted({1, count})[:visits_max]
        for visit in chosen:
            problems += trial(folder / "base", folder / "work", point, visit, old, new)
            kills += 1
    return kills, problems, set(visits) & points


def forbid_exchange() -> None:
    """From now on, as on a file system that can't trade names."""
    crucible.projections.mirror_publish.exchange = _no_exchange


def _no_exchange(_first: Path, _second: Path) -> bool:
    return False


def publish_in_place(new: Path, folder: Path) -> None:
    """As mirrors once did, file by file: what the comparison must notice."""
    folder.mkdir(exist_ok=True)
    for entry in sorted(new.iterdir()):
        if (folder / entry.name).is_dir():
            shutil.rmtree(folder / entry.name)
        entry.replace(folder / entry.name)
        crucible.faults.fault_point("mirror:after-exchange")
    new.rmdir()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int)
    parser.add_argument("--no-exchange", action="store_true")
    parser.add_argument("--sabotage", action="store_true")
    parser.add_argument("--points", default=",".join(sorted(POINTS | WITHOUT_EXCHANGE)), help="which, with commas")
    arguments = parser.parse_args()
    if arguments.sabotage:
        crucible.projections.mirror.publish = publish_in_place
    if arguments.no_exchange:
        forbid_exchange()
    points = frozenset(arguments.points.split(","))
    with tempfile.TemporaryDirectory(prefix="crucible-mirrors-") as name:
        kills, problems, hit = run(Path(name), visits_max=arguments.visits, points=points)
    print(f"{kills} kills at {len(hit)} points")
    for problem in problems:
        print(f"WRONG: {problem}")
    missed = ((WITHOUT_EXCHANGE if arguments.no_exchange else POINTS) & points) - hit
    for point in sorted(missed):
        print(f"NEVER HIT: {point}")
    return 5 if problems else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
