"""A part of a grid: some of its runs, perhaps with one stage only. What `reproduce` submits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from crucible.canonical import canonical_json, parse_json
from crucible.definition.model import StageDefinition

if TYPE_CHECKING:
    from crucible.definition.model import Definition


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """Which runs of a grid, and which of their stages is meant."""

    grid_indexes: tuple[int, ...]
    """Ascending, each once."""
    stage: str | None = None
    """The one stage that is executed; those after it are left out. None: all stages."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``selection_json``. Raises ``ValueError`` that says what is wrong with it."""
        value = parse_json(text)
        indexes = value.get("grid_indexes") if isinstance(value, dict) else None
        if not isinstance(indexes, list) or [type(index) for index in indexes] != [int] * len(indexes) or not indexes:
            message = f"selection: expected grid_indexes, a list of integers, and stage; found {text[:80]}"
            raise ValueError(message)
        if list(indexes) != sorted(set(indexes)):
            message = "selection.grid_indexes: expected ascending numbers, each once"
            raise ValueError(message)
        return cls(tuple(indexes), value.get("stage"))

    def canonical_json(self) -> str:
        """The selection as a record holds it."""
        return canonical_json({"grid_indexes": list(self.grid_indexes), "stage": self.stage})

    def check(self, definition: Definition, run_count: int) -> None:
        """Raise ``ValueError`` if the grid has no such run, or its runs no such stage."""
        outside = [index for index in self.grid_indexes if not 0 <= index < run_count]
        if outside:
            message = f"selection.grid_indexes: {outside[0]} is none of the grid's {run_count} runs"
            raise ValueError(message)
        names = [stage.name for stage in definition.enabled_stages]
        if self.stage is not None and self.stage not in names:
            message = f"selection.stage: the experiment has no stage {self.stage!r}; it has {', '.join(names)}"
            raise ValueError(message)

    def stages_of(self, stages: Sequence[StageDefinition]) -> tuple[StageDefinition, ...]:
        """The stages that a selected run has."""
        names = [stage.name for stage in stages]
        return tuple(stages[: names.index(self.stage) + 1] if self.stage in names else stages)
