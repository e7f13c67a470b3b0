"""Small projects for tests: files in a folder, and experiments from them."""

from __future__ import annotations

import textwrap
from pathlib import Path

from crucible.definition.load import Loaded, load_experiment
from crucible.errors import DefinitionError, Problem

MINE = '''
import crucible as cr


@cr.stage(metrics={
    "val/accuracy": cr.metric(unit="ratio", better="higher", range=(0, 1)),
    "train/loss": cr.metric(unit="nat", better="lower"),
    "seconds": cr.metric(unit="s", better="lower", kind="timing"),
}, artifacts=["model"])
def fit(run: cr.Run, *, learning_rate: float, hidden: int = 64, epochs: int = 10, schedule: str | None = None) -> dict[str, float]:
    return {"val/accuracy": 1.0}


@cr.stage(metrics={"test/accuracy": cr.mean_score("test", unit="ratio", better="higher", range=(0, 1))})
def score(run: cr.Run, model: cr.Artifact) -> None:
    """Score nothing."""


experiment = cr.Experiment(
    "mine", description="one", seed=7, repeat=10, select="val/accuracy",
    parameters={"fit.learning_rate": [1e-3, 1e-2]},
    stages=[fit, score.with_inputs(model="fit.model")],
    quality_targets={"test/accuracy": cr.at_least(0.95)},
)
'''
"""A whole experiment; in YAML it is `MINE_YAML`."""

MINE_YAML = """
name: mine
description: one
seed: 7
repeat: 10
select: val/accuracy
parameters:
  learning_rate: [1e-3, 1e-2]
stages:
  - type: mine:fit
  - type: mine:score
    inputs: {model: fit.model}
quality_targets:
  test/accuracy: {at_least: .95}
"""


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the files of a project."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def load_yaml(folder: Path, text: str, **options) -> Loaded:
    """Load an experiment from YAML beside ``mine.py``."""
    write(folder, {"mine.py": MINE, "experiment.yaml": text})
    return load_experiment(str(folder / "experiment.yaml"), **options)


def problems_of(folder: Path, text: str, **options) -> dict[str, Problem]:
    """Return the problems of an experiment in YAML, by path."""
    try:
        load_yaml(folder, text, **options)
    except DefinitionError as error:
        return {problem.path: problem for problem in error.problems}
    return {}


def experiment_yaml(**fields: str) -> str:
    """Return YAML of the experiment with some top-level fields replaced by other YAML text."""
    kept = {
        "name": "mine",
        "parameters": "{learning_rate: [1e-3, 1e-2]}",
        "stages": "[{type: 'mine:fit'}, {type: 'mine:score', inputs: {model: fit.model}}]",
        **fields,
    }
    return "".join(f"{key}: {value}\n" for key, value in kept.items())
