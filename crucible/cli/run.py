"""``crucible run``: from a file to results, however often it is interrupted."""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from crucible.cli import exits
from crucible.cli.analysis import analysis_facts, print_summary
from crucible.cli.budget import say_stops
from crucible.cli.compose import Host
from crucible.cli.located import located_settings
from crucible.cli.progress import REUSED, Follower, reused_text
from crucible.cli.show import FINDINGS, VERDICTS, print_verdicts
from crucible.cli.text import columns, outlive_reader, plain, say, warn
from crucible.errors import UsageError
from crucible.plural import plural
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.cli.compose import Reading
    from crucible.definition.load import Loaded
    from crucible.processors.zygote import Zygote

CELLS_SHOWN_MAX = 20
FOLDERS_WAIT_S = 120.0
"""How long the folders of the last runs may take: those of the others are written while the grid runs."""
FOLDERS_POLL_S = 0.02
FOLDERS = """
SELECT EXISTS (SELECT 1 FROM judgements j WHERE j.submission_id = s.submission_id AND j.generation = s.generation)
    AS is_judged,
  EXISTS (SELECT 1 FROM mirrors m WHERE m.subject_kind = 'submission' AND m.subject_id = s.submission_id
    AND m.generation = s.generation) AS is_written
FROM submissions s WHERE s.submission_id = ?
"""
UNJUDGED = """
SELECT problem FROM judgements JOIN submissions USING (submission_id, generation)
WHERE submission_id = ? AND problem IS NOT NULL
"""
UNWRITTEN = """
SELECT m.folder, m.problem FROM mirrors m LEFT JOIN runs r ON m.subject_kind = 'run' AND m.subject_id = r.run_id
WHERE coalesce(r.submission_id, m.subject_id) = ? AND m.problem IS NOT NULL ORDER BY m.folder
"""


@dataclasses.dataclass(frozen=True, slots=True)
class RunCall:
    """What ``crucible run`` was asked for."""

    file: str
    sets: tuple[str, ...] = ()
    is_smoke: bool = False
    is_dry_run: bool = False
    wants_resume: bool = False
    wants_new: bool = False
    is_forced: bool = False
    """Execute every stage, also where a finished one with the same key exists."""


def run_experiment(call: RunCall, *, jobs: int | None, output_dir: Path | None) -> int:
    """Run the grid of a file to its end and print what came out; the exit code."""
    if call.wants_resume and call.wants_new:
        message = "--resume and --new exclude each other"
        raise UsageError(message)
    settings = located_settings(may_create=True, jobs=jobs, output_dir=output_dir)
    outlive_reader()
    zygote = None if settings.jobs == 0 or call.is_dry_run else start_zygote()
    try:
        loaded = _load(call, settings)
        if call.is_dry_run:
            return _show_grid(loaded, call)
        return run_loaded(loaded, call, settings, zygote, output_dir=output_dir)[1]
    finally:
        if zygote is not None:
            zygote.close()


def run_loaded(
    loaded: Loaded, call: RunCall, settings: Settings, zygote: Zygote | None, *, output_dir: Path | None
) -> tuple[str, int]:
    """Run a loaded experiment on the settings' log and print what came out; submission id and exit code."""
    say(f"log: {settings.log_text}")
    with Host(settings, zygote, jobs=settings.jobs) as host:
        submission_id = _choose(host, loaded, call, output_dir)
        host.start_worker()
        with Interrupts(host) as interrupts, host.reader() as reader:
            Follower(host, submission_id, interrupts).follow(reader)
            codes = [
                _conclude(reader, submission_id, call.file),
                await_folders(host, reader, submission_id, interrupts),
            ]
            _say_places(reader, submission_id)
            if interrupts.count:
                say(f"stopped; what is unfinished goes on with: crucible run {call.file}")
        return submission_id, exits.INTERRUPTED if interrupts.count else exits.worst(codes)


def start_zygote() -> Zygote:
    """Start the process that forks stages: before this process has a thread or has imported anything heavy."""
    from crucible.processors.zygote import Zygote

    return Zygote.start()


def _load(call: RunCall, settings: Settings) -> Loaded:
    from crucible.definition.load import load_experiment

    loaded = load_experiment(call.file, call.sets, adapter_default=settings.adapter)
    for problem in loaded.warnings:
        warn(f"warning: {problem}")
    return loaded


def _show_grid(loaded: Loaded, call: RunCall) -> int:
    from crucible.definition.grid import expand
    from crucible.ports import SystemClock, SystemIds

    definition = loaded.definition
    planned = expand(
        definition,
        submission_id=SystemIds().uuid7(),
        submitted_at_us=SystemClock().now_us(),
        number=1,
        recipe_digest=loaded.recipe_digest,
        is_smoke=call.is_smoke,
    )
    cells: dict[int, Any] = {run.cell_index: run for run in planned}
    counts = {"run": len(planned), "cell": len(cells), "repeat": len(planned) // len(cells)}
    runs, in_cells, repeats = (f"{count} {plural(count, word)}" for word, count in counts.items())
    say(f"{definition.name}: {runs}, {in_cells} × {repeats}")
    say(f"stages: {' → '.join(stage.name for stage in definition.enabled_stages)}")
    if definition.experiment_stages:
        say(f"once, after all runs: {' → '.join(stage.name for stage in definition.experiment_stages)}")
    rows = [
        [run.cell_index, run.label or "–", ", ".join(f"{name}={value}" for name, value in run.params.items())]
        for run in list(cells.values())[:CELLS_SHOWN_MAX]
    ]
    say(columns(["cell", "label", "parameters"], rows))
    if len(cells) > CELLS_SHOWN_MAX:
        say(f"… and {len(cells) - CELLS_SHOWN_MAX} more cells")
    say(f"definition {definition.definition_digest}, code {loaded.code_digest}; nothing was started")
    return exits.FINE


def _choose(host: Host, loaded: Loaded, call: RunCall, output_dir: Path | None) -> str:
    """The submission to follow: the unfinished one of the same experiment, or a new one."""
    with host.reader() as reader:
        unfinished = reader.rows(
            "SELECT submission_id, number, definition_digest, code_digest, run_count FROM submissions"
            " WHERE experiment = ? AND namespace = ? AND is_smoke = ? AND status IN ('running', 'canceling')"
            " AND reproduces IS NULL"
            " ORDER BY number DESC",
            [loaded.definition.name, loaded.definition.namespace, call.is_smoke],
        )
        same = [row for row in unfinished if _is_same(row, loaded)]
        if call.wants_new or (not unfinished and not call.wants_resume):
            return _submit(host, loaded, call, output_dir)
        if call.wants_resume and not unfinished:
            message = f"{loaded.definition.name} has no unfinished submission to resume; leave --resume out"
            raise UsageError(message)
        if not same and not call.wants_resume and not _asked_to_resume(call, loaded, unfinished[0]):
            return _submit(host, loaded, call, output_dir)
        chosen = (same or list(unfinished))[0]
    name = f"{loaded.definition.name}#{chosen['number']}"
    if not same and chosen["code_digest"] != loaded.code_digest:
        message = (
            f"{name} can't be resumed: its runs need the code as it was then (digest {chosen['code_digest'][:12]}),"
            f" and the files have changed (now {loaded.code_digest[:12]}).\nRestore the files, or run\n"
            f"  crucible run {call.file} --new\nand end the old one with\n  crucible cancel {name}"
        )
        raise UsageError(message)
    say(f"resuming {name}")
    return str(chosen["submission_id"])


def _is_same(row: Mapping[str, Any], loaded: Loaded) -> bool:
    now = (loaded.definition.definition_digest, loaded.code_digest)
    return (row["definition_digest"], row["code_digest"]) == now


def _asked_to_resume(call: RunCall, loaded: Loaded, row: Mapping[str, Any]) -> bool:
    """Ask on a terminal whether to go on with the changed file's old submission; elsewhere refuse."""
    name = f"{loaded.definition.name}#{row['number']}"
    is_code_same = row["code_digest"] == loaded.code_digest
    when = "" if is_code_same else ", once the code is again what it was then"
    text = (
        f"{call.file} has changed since {name}, which has unfinished runs. Either\n"
        f"  crucible run {call.file} --resume    to go on with {name} as it was submitted{when}, or\n"
        f"  crucible run {call.file} --new       to submit the file as it is now"
    )
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(text)
    say(text)
    answer = input("resume, new, or anything else to leave? ").strip().lower()
    if answer not in {"resume", "new"}:
        message = "nothing was started"
        raise UsageError(message)
    return answer == "resume"


def _submit(host: Host, loaded: Loaded, call: RunCall, output_dir: Path | None) -> str:
    from crucible.cli.wiring import capture, make_blobs
    from crucible.definition.model import OUTPUT_DIR_DEFAULT

    own = loaded.definition.output_dir
    is_default = output_dir is not None or own == OUTPUT_DIR_DEFAULT
    folder = host.settings.output_dir if is_default else host.settings.project / own
    is_reusing = not call.is_forced and not call.is_smoke  # a smoke test is there to be executed
    with make_blobs(host.settings).keeping():  # what was kept of the environment has no name before the command has
        environment_json = capture(host.settings, loaded.code_path, folder)
        recorded = host.settings.place.recorded(folder)
        fields = submission_fields(loaded, recorded, is_smoke=call.is_smoke, environment_json=environment_json)
        return host.sender.submit({**fields, "is_reusing": is_reusing})


def submission_fields(loaded: Loaded, output_dir: str, *, is_smoke: bool, environment_json: str) -> dict[str, object]:
    """What ``SubmitExperiment`` says of a loaded experiment, all of which is to be executed."""
    from crucible.canonical import canonical_json
    from crucible.definition.dataset_files import dataset_file_digests

    definition = loaded.definition
    return {
        "namespace": definition.namespace,
        "experiment": definition.name,
        "definition_json": definition.canonical_json(),
        "definition_digest": definition.definition_digest,
        "recipe_digest": loaded.recipe_digest,
        "code_path": None if loaded.code_path is None else str(loaded.code_path),
        "code_digest": loaded.code_digest,
        "code_blob": None,
        "environment_json": environment_json,
        "output_dir": output_dir,
        "is_smoke": is_smoke,
        "is_reusing": False,
        "selection_json": None,
        "reproduces": None,
        "dataset_files_json": canonical_json(
            dataset_file_digests(definition, loaded.code_path.parent if loaded.code_path is not None else Path())
        ),
    }


def _conclude(reader: Reading, submission_id: str, file: str) -> int:
    """Print verdicts, findings and places; the exit code that follows from them."""
    (submission,) = reader.rows("SELECT * FROM submissions WHERE submission_id = ?", [submission_id])
    counts = {
        row["status"]: row["runs"]
        for row in reader.rows(
            "SELECT status, count(*) AS runs FROM runs WHERE submission_id = ? AND scope = 'run' GROUP BY 1",
            [submission_id],
        )
    }
    verdicts = reader.rows(VERDICTS, [submission_id])
    name = f"{submission['experiment']}#{submission['number']}"
    reused = reused_text(reader.rows(REUSED, [submission_id])[0])
    say(f"{name}: {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}{reused}")
    print_verdicts(verdicts, reader.rows(FINDINGS, [submission_id]))
    print_summary(analysis_facts(reader, submission_id))
    say_failures(reader, submission_id)
    codes = _outcomes(submission, counts, verdicts) + say_stops(reader, submission_id, name, file)
    for row in reader.rows(UNJUDGED, [submission_id]):
        warn(f"{name} could not be judged, which is our fault: {row['problem']}; its results are on the log")
        codes.append(exits.OURS)
    return exits.worst(codes)


def _outcomes(
    submission: Mapping[str, Any], counts: Mapping[str, int], verdicts: Sequence[Mapping[str, Any]]
) -> list[int]:
    codes = []
    if counts.get("failed") or submission["experiment_failed"]:
        codes.append(exits.FAILED)
    if counts.get("canceled") or submission["experiment_canceled"]:
        codes.append(exits.STOPPED)
    if submission["closed_at"] is not None and not submission["is_smoke"]:
        codes += [exits.TARGET for verdict in verdicts if verdict["status"] != "met"]
    return codes


def say_failures(reader: Reading, submission_id: str) -> None:
    """Print the first runs that failed or were canceled, and why."""
    rows = reader.rows(
        "SELECT ref, status, reason FROM runs WHERE submission_id = ? AND status IN ('failed', 'canceled')"
        " ORDER BY scope, label = '_experiment', grid_index, repeat LIMIT 10",
        [submission_id],
    )
    for row in rows:
        say(f"  {row['ref']} {row['status']}: {plain(str(row['reason']))}")


def await_folders(host: Host, reader: Reading, submission_id: str, interrupts: Interrupts) -> int:
    """Wait until the folders of a judged submission are written; the exit code says if one could not be."""
    until = time.monotonic() + FOLDERS_WAIT_S
    while not interrupts.count and (row := reader.rows(FOLDERS, [submission_id])[0])["is_judged"]:
        if row["is_written"]:
            return _say_unwritten(reader, submission_id)
        if time.monotonic() > until:
            warn("the folders of the runs are still being written; the engine of this log goes on with it")
            break
        host.check()
        time.sleep(FOLDERS_POLL_S)
    return exits.FINE


def _say_unwritten(reader: Reading, submission_id: str) -> int:
    rows = reader.rows(UNWRITTEN, [submission_id])
    if not rows:
        return exits.FINE
    warn(
        f"{len(rows)} {plural(len(rows), 'folder')} could not be written, among them {rows[0]['folder']}: "
        f"{rows[0]['problem']}\nNothing is lost: the results are on the log. Free space, make the place writable or "
        "name another one with --output-dir; crucible engine writes what is missing"
    )
    return exits.STORAGE


def _say_places(reader: Reading, submission_id: str) -> None:
    (submission,) = reader.rows("SELECT * FROM submissions WHERE submission_id = ?", [submission_id])
    say(f"runs: {submission['output_dir']}/{submission['experiment']}")
    name = f"{submission['experiment']}#{submission['number']}"
    say(f"ask:  crucible ls '{name}' · crucible show '{name}' · crucible sql \"select …\"")


class Interrupts:
    """Ctrl-C: the first one checkpoints and drains, the second one kills. SIGTERM is a first one."""

    def __init__(self, host: Host) -> None:
        """Count nothing yet."""
        self._host = host
        self._before: dict[int, Any] = {}
        self.count = 0

    def __enter__(self) -> Self:
        """Take over the signals, if this is the thread that gets them."""
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        _ = number, frame
        self.count += 1
        work = self._host.work
        if self.count == 1:
            warn("\nstopping: stages checkpoint and their claims are given back; once more kills them")
            if work is not None:
                work.drain()
        elif work is not None:
            work.kill()
