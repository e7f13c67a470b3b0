"""What is to be reproduced: which runs, with which recorded definition and data; every problem at once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crucible.definition.code_digest import CodeTooLargeError, code_digest, with_command_files
from crucible.definition.dataset_files import dataset_file_digests
from crucible.definition.model import DatasetReference, Definition
from crucible.definition.problems import nearest_name
from crucible.definition.selection import Selection
from crucible.errors import DefinitionError, Problem
from crucible.lookup import find_subject
from crucible.stage_call import SCRIPT_TYPE

if TYPE_CHECKING:
    from crucible.cli.compose import Reading
    from crucible.lookup import Subject

RUNS = """
SELECT run_id, ref, grid_index, status, reason, is_purged FROM runs
WHERE submission_id = ? AND scope = 'run' AND (? IS NULL OR run_id = ?) ORDER BY grid_index
"""
DONE = "SELECT run_id, stage FROM stages WHERE status IN ('completed', 'reused') AND run_id IN ({marks})"
USED = """
SELECT DISTINCT d.name, d.digest, d.source FROM datasets d
WHERE d.is_effective AND d.run_id IN ({marks}) ORDER BY d.name, d.digest
"""
SUBMISSION_OF = {
    "run": "SELECT s.* FROM submissions s JOIN runs r USING (submission_id) WHERE r.run_id = ?",
    "submission": "SELECT * FROM submissions WHERE submission_id = ?",
    "experiment": "SELECT * FROM submissions WHERE experiment = ? ORDER BY number DESC LIMIT 1",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Reproduction:
    """What is to be done again."""

    subject: Subject
    submission: Mapping[str, Any]
    """The original's row."""
    runs: Sequence[Mapping[str, Any]]
    """The original's runs, in grid order."""
    left_out: Sequence[Mapping[str, Any]]
    """Runs of the group that have no result to compare with."""
    definition: Definition
    """As recorded, every dataset pinned to what was read."""
    code_path: Path
    code_digest: str
    """Of the code as it is now."""
    selection: Selection

    def fields(self, environment_json: str) -> dict[str, object]:
        """The fields of ``SubmitExperiment``."""
        from crucible.canonical import canonical_json

        definition, original = self.definition, self.submission
        return {
            "namespace": original["namespace"],
            "experiment": original["experiment"],
            "definition_json": definition.canonical_json(),
            "definition_digest": definition.definition_digest,
            "recipe_digest": definition.recipe_digest(self.code_digest),
            "code_path": str(self.code_path),
            "code_digest": self.code_digest,
            "code_blob": None,
            "environment_json": environment_json,
            "output_dir": original["output_dir"],
            "is_smoke": original["is_smoke"],
            "is_reusing": False,
            "selection_json": self.selection.canonical_json(),
            "reproduces": original["submission_id"],
            "dataset_files_json": canonical_json(dataset_file_digests(definition, self.code_path.parent)),
        }


def plan_reproduction(reader: Reading, reference: str, stage: str | None) -> Reproduction:
    """Work out what ``reference`` means. Raises ``DefinitionError`` with every problem, ``UsageError``."""
    subject = find_subject(reader, reference)
    submission = reader.rows(SUBMISSION_OF[subject.kind], [subject.id])[0]
    definition = Definition.parse(submission["definition"])
    run_id = subject.id if subject.kind == "run" else None
    runs = reader.rows(RUNS, [submission["submission_id"], run_id, run_id])
    problems = [*_stage_problems(definition, stage), *_code_problems(submission, definition)]
    usable = [run for run in runs if run["run_id"] in _with_result(reader, runs, definition, stage)]
    left_out = [run for run in runs if run not in usable]
    if subject.kind == "run" or not usable:
        problems += [_why_not(run, stage) for run in left_out]
    if not runs:
        problems.append(Problem(subject.name, "has no run of a grid"))
    pinned, more = _pinned(reader, definition, [run["run_id"] for run in usable])
    if problems or more:
        raise DefinitionError([*problems, *more])
    path = Path(submission["code_path"])
    try:
        digest = with_command_files(code_digest(path), definition, path.resolve().parent)
    except CodeTooLargeError as error:
        raise DefinitionError([Problem(str(path), str(error))]) from error
    selection = Selection(tuple(run["grid_index"] for run in usable), stage)
    return Reproduction(subject, submission, usable, left_out, pinned, path, digest, selection)


def _stage_problems(definition: Definition, stage: str | None) -> list[Problem]:
    names = [each.name for each in definition.enabled_stages]
    if stage is None or stage in names:
        return []
    problem = Problem(
        "--stage",
        "there is no such stage",
        value=stage,
        expected=" or ".join(names),
        nearest=nearest_name(stage, names),
    )
    return [problem]


def _code_problems(submission: Mapping[str, Any], definition: Definition) -> list[Problem]:
    if any(stage.type == SCRIPT_TYPE for stage in definition.stages):
        message = "only the script itself can do it again: start the script"
        return [Problem(submission["experiment"], message)]
    path = submission["code_path"]
    if path is None:
        return [Problem(submission["experiment"], "was defined in no file, so that there is no code to run again")]
    if not Path(path).is_file():
        return [Problem(path, "the file that defines the experiment is gone: bring it back to where it was")]
    return []


def _with_result(
    reader: Reading, runs: Sequence[Mapping[str, Any]], definition: Definition, stage: str | None
) -> set[str]:
    """Runs that were not purged and have a result: of all stages, or of one stage and those before it."""
    names = [each.name for each in definition.enabled_stages]
    needed = set(names[: names.index(stage) + 1] if stage in names else names)
    done: dict[str, set[str]] = {run["run_id"]: set() for run in runs}
    if runs:
        query = DONE.format(marks=", ".join("?" * len(runs)))
        for row in reader.rows(query, list(done)):
            done[row["run_id"]].add(row["stage"])
    return {run["run_id"] for run in runs if not run["is_purged"] and needed <= done[run["run_id"]]}


def _why_not(run: Mapping[str, Any], stage: str | None) -> Problem:
    if run["is_purged"]:
        return Problem(run["ref"], "was purged: what it made is gone")
    what = "stage and those before it" if stage is not None else "run"
    return Problem(
        run["ref"], f"the {what} has no result to compare with: {run['status']} {run['reason'] or ''}".strip()
    )


def _pinned(reader: Reading, definition: Definition, run_ids: Sequence[str]) -> tuple[Definition, list[Problem]]:
    """The definition with each dataset pinned to the content that was read; what can't be is a problem."""
    found: dict[str, set[str]] = {}
    rows = reader.rows(USED.format(marks=", ".join("?" * len(run_ids))), list(run_ids)) if run_ids else []
    for row in rows:
        whole = json.loads(row["source"]).get("whole_digest") if row["source"] else None
        found.setdefault(row["name"], set()).add(whole or row["digest"])
    problems = [
        Problem(f"datasets.{name}", f"its content changed between the runs ({len(digests)} digests): reproduce fewer")
        for name, digests in found.items()
        if len(digests) > 1
    ]
    datasets = dict(definition.datasets)
    for name, digests in found.items():
        reference = datasets.get(name) or DatasetReference(source=name)
        if reference.digest is None and len(digests) == 1:
            datasets[name] = reference.model_copy(update={"digest": next(iter(digests))})
    plain = {name: reference.model_dump(mode="json") for name, reference in datasets.items()}
    return Definition.model_validate({**definition.canonical(), "datasets": plain}), problems
