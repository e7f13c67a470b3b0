"""``crucible reproduce``: run it again with the code as it is now, and say whether it came out the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crucible.cli import exits
from crucible.cli.compose import Host, open_reader
from crucible.cli.environment_changes import code_changes, environment_changes, shortened
from crucible.cli.located import located_settings
from crucible.cli.progress import Follower
from crucible.cli.run import Interrupts, await_folders, say_failures, start_zygote
from crucible.cli.text import columns, number, outlive_reader, plain, progress_apart, say, warn
from crucible.cli.wiring import capture, make_blobs
from crucible.errors import BlobError, UsageError
from crucible.lookup import find_subject
from crucible.plural import plural
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.blobs import BlobStore
    from crucible.cli.compose import Reading
    from crucible.cli.reproduction import Reproduction
    from crucible.projections.comparison import Compared

DIFFERENCES_SHOWN_MAX = 50
"""Lines of differences that are printed; JSON has all."""
UNFINISHED = """
SELECT submission_id FROM submissions
WHERE reproduces = ? AND selection = ? AND code_digest = ? AND status = 'running' ORDER BY number DESC LIMIT 1
"""
SUBMISSION = "SELECT * FROM submissions WHERE submission_id = ?"
RUNS = """
SELECT run_id, ref, grid_index, status, reason, params, repeat FROM runs
WHERE submission_id = ? AND scope = 'run' ORDER BY grid_index
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A run and the one that does it again."""

    original: Mapping[str, Any]
    reproduced: Mapping[str, Any] | None
    compared: Sequence[Compared]
    digests: tuple[str, str] | None
    """Result digests; None if one side has no result."""

    @property
    def differences(self) -> list[Compared]:
        """What counts and differs."""
        return [each for each in self.compared if each.is_counted and not each.is_equal]

    @property
    def is_equal(self) -> bool:
        """Both have a result, and nothing that counts differs."""
        return self.digests is not None and not self.differences


def reproduce(reference: str, *, stage: str | None, against: str | None, jobs: int | None, form: str) -> int:
    """Run what ``reference`` means again and compare; the exit code says whether all was equal."""
    if against is not None and stage is not None:
        message = "--against compares whole runs that exist: leave --stage out"
        raise UsageError(message)
    settings = located_settings(may_create=True, jobs=jobs)
    if against is not None:
        return _compare_existing(settings, reference, against, form)
    outlive_reader()
    zygote = start_zygote() if settings.jobs else None
    try:
        return _reproduce(settings, zygote, reference, stage, form)
    finally:
        if zygote is not None:
            zygote.close()


def _reproduce(settings: Settings, zygote: Any, reference: str, stage: str | None, form: str) -> int:
    from crucible.cli.reproduction import plan_reproduction

    blobs = make_blobs(settings)
    with open_reader(settings) as reader:
        plan = plan_reproduction(reader, reference, stage)
    now = capture(settings, plan.code_path, Path(plan.submission["output_dir"]))
    warnings = _warnings(plan.submission, json.loads(now), plan.code_digest, plan.code_path, blobs)
    warnings += [f"{run['ref']} is left out: {run['status']}, without a result" for run in plan.left_out]
    for line in warnings:
        warn(f"warning: {line}")
    with progress_apart(form), Host(settings, zygote, jobs=settings.jobs) as host:
        submission_id = _submit(host, plan, now)
        host.start_worker()
        with Interrupts(host) as interrupts, host.reader() as reader:
            Follower(host, submission_id, interrupts).follow(reader)
            say_failures(reader, submission_id)
            codes = [await_folders(host, reader, submission_id, interrupts)]
            if interrupts.count:
                warn(f"stopped; the same command goes on: crucible reproduce '{reference}'")
                return exits.INTERRUPTED
            again = {run["grid_index"]: run for run in reader.rows(RUNS, [submission_id])}
            pairs = [_pair(reader, run, again.get(run["grid_index"]), blobs, stage) for run in plan.runs]
    return exits.worst([*codes, _conclude(pairs, plan.subject.name, warnings, form)])


def _submit(host: Host, plan: Reproduction, environment_json: str) -> str:
    """The submission that does it again: one that was interrupted, or a new one."""
    original_id = plan.submission["submission_id"]
    key = [original_id, plan.selection.canonical_json(), plan.code_digest]
    with host.reader() as reader:
        begun = reader.rows(UNFINISHED, key)
        submission_id = begun[0]["submission_id"] if begun else host.sender.submit(plan.fields(environment_json))
        name = _name_of(_row(reader, submission_id))
    say(f"log: {host.settings.log_text}")
    count = len(plan.runs)
    say(f"{plan.subject.name}: {count} {plural(count, 'run')} {'resumed' if begun else 'again'} as {name}")
    return str(submission_id)


def _row(reader: Reading, submission_id: str) -> Mapping[str, Any]:
    """A submission; its answer was read, so that a moment later its row is there."""
    import time

    from crucible.cli.compose import ENGINE_WAIT_S, RETRY_S

    until = time.monotonic() + ENGINE_WAIT_S
    while not (rows := reader.rows(SUBMISSION, [submission_id])):
        if time.monotonic() > until:
            message = f"the read model does not know the submission {submission_id} yet; ask again later"
            raise UsageError(message)
        time.sleep(RETRY_S)
    return rows[0]


def _name_of(submission: Mapping[str, Any]) -> str:
    return f"{submission['experiment']}#{submission['number']}"


def _warnings(
    original: Mapping[str, Any], now: Mapping[str, Any], code_digest: str, code_path: Path, blobs: BlobStore
) -> list[str]:
    """What may make a difference: code, processor, threads, Python and packages, each with both sides."""
    before = json.loads(original["environment"] or "{}")
    lines = environment_changes(before, now, blobs)
    if original["code_digest"] != code_digest:
        files, problem = code_changes(before, now, code_path.parent, blobs)
        where = problem if problem is not None else f"other files: {shortened(files)}"
        lines.insert(0, f"code: digest {code_digest[:12]}; it was {original['code_digest'][:12]}; {where}")
    return lines


def _compare_existing(settings: Settings, reference: str, against: str, form: str) -> int:
    """Compare runs that exist: those of the same parameters and repeat."""
    blobs = make_blobs(settings)
    with open_reader(settings) as reader:
        sides = [_runs_of(reader, text) for text in (reference, against)]
        others = {(run["params"], run["repeat"]): run for run in sides[1][1]}
        if len(sides[0][1]) == len(sides[1][1]) == 1:
            others = {(run["params"], run["repeat"]): sides[1][1][0] for run in sides[0][1]}
        pairs = [_pair(reader, run, others.get((run["params"], run["repeat"])), blobs, None) for run in sides[0][1]]
        first, second = (side[0] for side in sides)
        environment = json.loads(second["environment"] or "{}")
        path = Path(second["code_path"] or settings.project / "none")
        warnings = _warnings(first, environment, second["code_digest"], path, blobs)
    for line in warnings:
        warn(f"warning: {line}")
    return _conclude(pairs, f"{reference} and {against}", warnings, form)


def _runs_of(reader: Reading, text: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """The submission that a reference means, and those of its runs that it means."""
    from crucible.cli.reproduction import SUBMISSION_OF

    subject = find_subject(reader, text)
    submission = reader.rows(SUBMISSION_OF[subject.kind], [subject.id])[0]
    runs = reader.rows(RUNS, [submission["submission_id"]])
    return submission, [run for run in runs if subject.kind != "run" or run["run_id"] == subject.id]


def _pair(
    reader: Reading,
    original: Mapping[str, Any],
    reproduced: Mapping[str, Any] | None,
    blobs: BlobStore,
    stage: str | None,
) -> Pair:
    from crucible.canonical import digest_of
    from crucible.projections.comparison import compare_runs
    from crucible.projections.result_digest import result_parts

    if reproduced is None or reproduced["status"] != "completed":
        return Pair(original, reproduced, (), None)
    pair = (original["run_id"], reproduced["run_id"])
    try:
        compared = compare_runs(reader, *pair, blobs, stage=stage)
        parts = [dict(result_parts(reader, run_id, blobs)) for run_id in pair]
    except BlobError as error:
        message = f"{original['ref']} can't be compared with {reproduced['ref']}: {error}"
        raise UsageError(message) from error
    if stage is not None:
        parts = [{**each, "status": None, "stages": {stage: each["stages"].get(stage)}} for each in parts]
    left, right = (digest_of(each) for each in parts)
    return Pair(original, reproduced, compared, (left, right))


def _conclude(pairs: Sequence[Pair], name: str, warnings: Sequence[str], form: str) -> int:
    """Print what was compared; the exit code."""
    equal = sum(pair.is_equal for pair in pairs)
    if form == "json":
        facts = {
            "subject": name,
            "is_equal": equal == len(pairs),
            "warnings": list(warnings),
            "runs": [_facts(pair) for pair in pairs],
        }
        say(json.dumps(facts, indent=2, default=str))
    else:
        _print_pairs(pairs)
        say(f"{name}: {equal} of {len(pairs)} {plural(len(pairs), 'run')} came out equal")
    codes = []
    for pair in pairs:
        if pair.digests is None:
            codes.append(exits.FAILED)
        elif not pair.is_equal:
            codes.append(exits.DIFFERENT)
    return exits.worst(codes)


def _facts(pair: Pair) -> dict[str, Any]:
    left, right = pair.digests or (None, None)
    return {
        "original": pair.original["ref"],
        "reproduced": pair.reproduced["ref"] if pair.reproduced is not None else None,
        "status": pair.reproduced["status"] if pair.reproduced is not None else None,
        "is_equal": pair.is_equal,
        "original_result_digest": left,
        "reproduced_result_digest": right,
        "compared": [dataclasses.asdict(each) for each in pair.compared],
    }


def _print_pairs(pairs: Sequence[Pair]) -> None:
    """The Result digests of every run, then what differs in it."""
    lines = 0
    for pair in pairs:
        if pair.digests is None:
            status = pair.reproduced["status"] if pair.reproduced is not None else "not there"
            say(f"{pair.original['ref']}: no result to compare with, the run is {status}")
            continue
        left, right = pair.digests
        is_same = "=" if left == right else "≠"
        say(f"{pair.original['ref']}: {'equal' if pair.is_equal else 'DIFFERENT'}, Result digest")
        say(f"  {left}\n{is_same} {right}")
        chosen = [each for each in pair.compared if _is_worth_saying(each, len(pairs))]
        rows = [_line(each) for each in chosen]
        if rows and lines < DIFFERENCES_SHOWN_MAX:
            table = columns(["stage", "", "", "was", "is", "", "how much"], rows[: DIFFERENCES_SHOWN_MAX - lines])
            say("\n".join(f"  {line}" for line in table.splitlines()))
            for each in chosen[: DIFFERENCES_SHOWN_MAX - lines]:
                for text in each.first:
                    say(f"    {each.stage} {each.kind} {each.name}: {plain(text)}")
        lines += len(rows)
    if lines > DIFFERENCES_SHOWN_MAX:
        say(f"and {lines - DIFFERENCES_SHOWN_MAX} more lines; --format json has all of them")


def _is_worth_saying(each: Compared, runs: int) -> bool:
    """Of one run everything is said, of many what differs and counts."""
    return runs == 1 or (each.is_counted and not each.is_equal)


def _line(each: Compared) -> list[object]:
    verdict = "equal" if each.is_equal else "DIFFERENT" if each.is_counted else "other, does not count"
    return [each.stage, each.kind, each.name, _short(each.original), _short(each.reproduced), verdict, _how_much(each)]


def _how_much(each: Compared) -> str:
    if each.is_equal:
        return f"{each.items} of them" if each.items > 1 else ""
    parts = []
    if each.items > 1:
        parts.append(f"{each.differing} of {each.items} differ")
    if each.absolute is not None:
        parts.append(f"by {number(each.absolute)}")
    if each.relative is not None:
        parts.append(f"{number(100 * each.relative)} %")
    return ", ".join(parts)


def _short(value: object) -> object:
    return value[:12] if isinstance(value, str) else value
