"""What ``Experiment.run`` does: the same as ``crucible run``, on an experiment that is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crucible.cli.located import located_settings
from crucible.cli.run import RunCall, run_loaded
from crucible.workspace import Outcome, Workspace

if TYPE_CHECKING:
    from crucible.definition.experiment import Experiment


def run_experiment(
    experiment: Experiment,
    *,
    jobs: int | None = None,
    sets: Sequence[str] = (),
    is_smoke: bool = False,
    new: bool = False,
    resume: bool = False,
    force: bool = False,
    output_dir: str | Path | None = None,
) -> Outcome:
    """Run the experiment's grid to its end, with ``jobs`` stages at once, and return what came out.

    An unfinished submission of the same experiment is resumed. Stages that have finished before with the same code,
    options, seed and inputs are reused, unless ``force``. Raises ``DefinitionError`` with every problem.
    """
    from crucible.definition.load import load_object
    from crucible.processors.zygote import Zygote

    settings = located_settings(may_create=True, jobs=jobs, output_dir=output_dir)
    loaded = load_object(experiment, sets=sets, adapter_default=settings.adapter)
    file = str(experiment.code_path or experiment.name)
    call = RunCall(file=file, sets=tuple(sets), is_smoke=is_smoke, wants_resume=resume, wants_new=new, is_forced=force)
    folder = None if output_dir is None else Path(output_dir)
    zygote = Zygote.start() if settings.jobs else None
    try:
        submission_id, code = run_loaded(loaded, call, settings, zygote, output_dir=folder)
    finally:
        if zygote is not None:
            zygote.close()
    return Outcome(submission_id, code, Workspace(settings))
