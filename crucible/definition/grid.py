"""From a definition to the runs of its grid: ids, seeds and names that the same input always gives.

The grid is the full product of the parameters, keys sorted, the last one fastest, or the explicit cells; each cell is
run ``repeat`` times. ``grid_index`` counts runs (repeats fastest), ``cell_index`` counts cells.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from crucible.canonical import canonical_json, hash_parts
from crucible.definition.label import labels_of
from crucible.definition.model import Definition
from crucible.definition.selection import Selection
from crucible.scope import NO_INDEX, PHASE_LABELS, ExperimentPhase

if TYPE_CHECKING:
    from crucible.records.run_events import SubmissionAccepted

GRID_RUNS_MAX: Final = 100_000
"""Runs of one submission at most; a run id has room for 2**20."""

SMOKE_STEPS_MAX: Final = 5
"""Steps of each stage in a smoke test."""

SEED_BITS: Final = 53
"""A seed is an integer that JSON carries exactly, and so does Avro's long."""

SEED_OF_EXPERIMENT: Final = 0
"""Repeat whose seed a run of scope experiment has: those of the grid begin with 1."""

_GRID_INDEX_BITS: Final = 20
_HASH_BITS: Final = 54


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that a submission is to have."""

    run_id: str
    cell_id: str
    cell_index: int
    grid_index: int
    repeat: int
    """From 1."""
    params: Mapping[str, Any]
    seed: int
    label: str
    ref: str


def cells_of(definition: Definition) -> list[dict[str, Any]]:
    """Return the cells of the grid in order; one empty cell if nothing is varied."""
    if definition.cells is not None:
        return [dict(cell) for cell in definition.cells]
    parameters = definition.parameters or {}
    keys = sorted(parameters)
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(parameters[key] for key in keys))]


def cell_count(definition: Definition) -> int:
    """Return how many cells the grid has, without making them."""
    if definition.cells is not None:
        return len(definition.cells)
    return math.prod(len(values) for values in (definition.parameters or {}).values())


def run_count(definition: Definition, *, is_smoke: bool = False) -> int:
    """Return how many runs a submission of the definition has."""
    return 1 if is_smoke else cell_count(definition) * definition.repeat


def expand(
    definition: Definition,
    *,
    submission_id: str,
    submitted_at_us: int,
    number: int,
    recipe_digest: str | None = None,
    is_smoke: bool = False,
) -> list[PlannedRun]:
    """Return the runs of a submission in grid order.

    ``submitted_at_us`` is the recorded time of the submission, so that a replay gives the same ids.
    ``recipe_digest`` is the submission's; None takes that of the definition without any code.
    Raises ``ValueError`` above ``GRID_RUNS_MAX`` runs; validation refuses such a definition before.
    """
    if run_count(definition, is_smoke=is_smoke) > GRID_RUNS_MAX:
        message = f"the grid has {run_count(definition)} runs, more than {GRID_RUNS_MAX}"
        raise ValueError(message)
    recipe = definition.recipe_digest("") if recipe_digest is None else recipe_digest
    cells = cells_of(definition)
    labels = labels_of(cells)
    repeats = range(1, 2 if is_smoke else definition.repeat + 1)
    seeds = {repeat: repeat_seed(definition.seed, repeat) for repeat in repeats}
    runs: list[PlannedRun] = []
    for cell_index, cell in enumerate(cells[:1] if is_smoke else cells):
        cell_id = cell_id_of(recipe, cell)
        for repeat in repeats:
            grid_index = len(runs)
            label = labels[cell_index]
            runs.append(
                PlannedRun(
                    run_id=run_id_of(submitted_at_us // 1000, grid_index, cell_id, repeat, submission_id),
                    cell_id=cell_id,
                    cell_index=cell_index,
                    grid_index=grid_index,
                    repeat=repeat,
                    params=cell,
                    seed=seeds[repeat],
                    label=label,
                    ref=f"{definition.name}#{number}/{label}.{repeat}",
                )
            )
    return runs


def planned_runs(accepted: SubmissionAccepted) -> list[PlannedRun]:
    """Return the runs of an accepted submission, from its record alone.

    Those of a part of a grid are named as in the whole of it.
    """
    runs = expand(
        Definition.parse(accepted.definition_json),
        submission_id=accepted.submission_id,
        submitted_at_us=accepted.occurred_at_us,
        number=accepted.number,
        recipe_digest=accepted.recipe_digest,
        is_smoke=accepted.is_smoke,
    )
    if accepted.selection_json is None:
        return runs
    return [runs[index] for index in Selection.parse(accepted.selection_json).grid_indexes]


def submitted_run_count(definition: Definition, *, is_smoke: bool, selection_json: str | None) -> int:
    """Return how many runs a submission has. Raises ``ValueError`` for a selection that does not fit the grid."""
    whole = run_count(definition, is_smoke=is_smoke)
    if selection_json is None:
        return whole
    selection = Selection.parse(selection_json)
    selection.check(definition, whole)
    return len(selection.grid_indexes)


def experiment_run(
    accepted: SubmissionAccepted, phase: ExperimentPhase, number: int, definition: Definition
) -> PlannedRun:
    """Return the ``number``-th run of scope experiment that an accepted submission has in a phase, from 1.

    ``definition`` is the submission's, or that of a further analysis. The run belongs to no cell; it sorts before those
    of the grid, or after them.
    """
    label = PHASE_LABELS[phase]
    digest = definition.definition_digest if phase == "again" else accepted.definition_digest
    cell_id = hash_parts("phase", phase, accepted.recipe_digest, digest).hex()
    index = 0 if phase == "before" else accepted.run_count
    return PlannedRun(
        run_id=run_id_of(accepted.occurred_at_us // 1000, index, cell_id, number, accepted.submission_id),
        cell_id=cell_id,
        cell_index=NO_INDEX,
        grid_index=NO_INDEX if phase == "before" else accepted.run_count,
        repeat=number,
        params={},
        seed=repeat_seed(definition.seed, SEED_OF_EXPERIMENT),
        label=label,
        ref=f"{accepted.experiment}#{accepted.number}/{label}.{number}",
    )


def cell_id_of(recipe_digest: str, params: Mapping[str, Any]) -> str:
    """Digest of recipe and parameters: what should give the same results has the same one."""
    return hash_parts("cell", recipe_digest, canonical_json(dict(params))).hex()


def repeat_seed(seed: int, repeat: int) -> int:
    """Seed of a repeat, the same for every cell so that cells are compared in pairs; 53 bits, not negative."""
    return int.from_bytes(hash_parts("seed", seed, repeat)[:8], "big") >> (64 - SEED_BITS)


def run_id_of(submitted_at_ms: int, grid_index: int, cell_id: str, repeat: int, submission_id: str) -> str:
    """UUIDv8 of a run: 48 bits of time, 20 of grid index, 54 of hash, so that ids sort as runs were planned."""
    if not 0 <= grid_index < 1 << _GRID_INDEX_BITS:
        message = f"grid index {grid_index} does not fit {_GRID_INDEX_BITS} bits"
        raise ValueError(message)
    digest = int.from_bytes(hash_parts("run", cell_id, repeat, submission_id)[:8], "big") >> (64 - _HASH_BITS)
    high = (submitted_at_ms & 0xFFFF_FFFF_FFFF) << 16 | 0x8000 | grid_index >> 8
    low = 0b10 << 62 | (grid_index & 0xFF) << _HASH_BITS | digest
    return str(uuid.UUID(int=high << 64 | low))
