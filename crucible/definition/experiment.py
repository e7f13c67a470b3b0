"""An experiment as it is written in Python: a name, stages, parameters and what is asked of the results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from crucible.definition.limits import Breaker, Budget, hook_document
from crucible.definition.metrics import Declared
from crucible.definition.project import MAIN
from crucible.definition.stage import Stage, builtin_stage, stage

if TYPE_CHECKING:
    from crucible.definition.load import Loaded
    from crucible.definition.model import Definition
    from crucible.workspace import Outcome

StageLike = Stage | Callable[..., Any] | Mapping[str, Any] | str


class Experiment:
    """What is to be run, and how it is judged. Nothing is checked before it is used: then everything is at once."""

    def __init__(
        self,
        name: str,
        *,
        stages: Iterable[StageLike] = (),
        parameters: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        quality_targets: Mapping[str, Declared] | None = None,
        datasets: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """Describe an experiment.

        ``parameters`` maps ``stage.option``, or an option that only one stage has, to the values of the grid; a list of
        mappings is a list of explicit cells. Further fields: description, tags, owner, version, namespace, seed,
        repeat, select, adapter, max_concurrent, output_dir, margin, metadata, hooks, budget,
        breaker.
        """
        self.name = name
        self.stages: list[StageLike] = list(stages)
        self.fields: dict[str, Any] = {
            key: value
            for key, value in {
                "parameters": parameters if isinstance(parameters, Mapping | None) else _as_list(parameters),
                "quality_targets": quality_targets,
                "datasets": datasets,
                **fields,
            }.items()
            if value is not None
        }
        self.code_path, self.line = _caller()

    def __repr__(self) -> str:
        """Name and stages."""
        return f"<Experiment {self.name!r}, {len(self.stages)} stages>"

    def add_stage(self, new: StageLike, /, *, name: str | None = None, **fields: Any) -> Self:
        """Add a stage after the others, with a name and fields of its own if any are given.

        ``add_stage("train", options={"rank": 8})`` adds a built-in one. Returns the experiment, so that calls can be
        chained.
        """
        if isinstance(new, Mapping):
            self.stages.append({**new, **({} if name is None else {"name": name}), **fields})
            return self
        made = builtin_stage(new) if isinstance(new, str) else new if isinstance(new, Stage) else stage(new)
        named = made if name is None else made.named(name)
        self.stages.append(named.with_fields(**fields) if fields else named)
        return self

    def document(self) -> dict[str, Any]:
        """Return the experiment as a mapping, as YAML would have it."""
        written = [each.document() if isinstance(each, Stage) else each for each in self.stage_objects()]
        fields = {
            key: value.document() if isinstance(value, Budget | Breaker) else value
            for key, value in self.fields.items()
        }
        if isinstance(hooks := fields.get("hooks"), Mapping):
            fields["hooks"] = {name: hook_document(hook) for name, hook in hooks.items()}
        return {"name": self.name, "stages": written, **fields}

    def stage_objects(self) -> list[Stage | Mapping[str, Any] | str]:
        """Return the stages, with plain functions made into stages."""
        return [stage(each) if callable(each) and not isinstance(each, Stage) else each for each in self.stages]

    def load(self, sets: Iterable[str] = ()) -> Loaded:
        """Check the experiment; raises ``DefinitionError`` with every problem."""
        from crucible.definition.load import load_object

        return load_object(self, sets=sets)

    def definition(self) -> Definition:
        """Return the normal form; raises ``DefinitionError`` with every problem."""
        return self.load().definition

    def run(self, **options: Any) -> Outcome:
        """Run the experiment here, as ``crucible run`` would, and return its `Outcome`.

        Options are those of the command: ``jobs``, ``sets``, ``is_smoke``, ``new``, ``resume``, ``force``,
        ``output_dir``.
        """
        from crucible.cli.library import run_experiment

        return run_experiment(self, **options)


def _as_list(value: Any) -> Any:
    """Return the items of an iterable; whatever is none is checked later, with everything else."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def _caller() -> tuple[Path | None, int | None]:
    """File and line of the code outside of this module that makes an experiment."""
    frame = sys._getframe(1)  # noqa: SLF001  the way to know where the experiment is written
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    file = frame.f_globals.get("__file__")
    if file is None and frame.f_globals.get("__name__") == MAIN:
        return None, frame.f_lineno
    return (None if file is None else Path(file)), frame.f_lineno
