"""The built-in stage ``eval``: predictions of a trained adapter on one split, and their mean score."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

import crucible as cr
from crucible.adapters import Session
from crucible.datasets import Split
from crucible.definition.metrics import Declared

PREDICTED_AT_ONCE = 256
"""Inputs in one call of the adapter, if the stage does not say otherwise."""


def declare_metrics(options: Mapping[str, Any]) -> dict[str, Declared]:
    """Return the accuracy on the stage's split."""
    split = options["split"]
    return {f"{split}/accuracy": cr.mean_score(split, unit="ratio", better="higher", range=(0, 1))}


@cr.stage(metrics=declare_metrics, name="eval")
def evaluate(
    run: cr.Run,
    adapter: cr.Artifact,
    *,
    dataset: Annotated[str, Field(description="name or source of the dataset")],
    split: Annotated[str, Field(description="split that is predicted and scored")] = "test",
    batch_size: Annotated[int, Field(ge=1, description="inputs in one call of the adapter")] = PREDICTED_AT_ONCE,
) -> None:
    """Predict each item of a split with a trained adapter; the score is 1 where the prediction is the label, else 0."""
    items = run.dataset(dataset).split(split)
    with contextlib.closing(run.adapter().load(run.open_request({}), adapter.path)) as session:
        predict_split(run, session, items, batch_size)


def predict_split(run: cr.Run, session: Session, split: Split, batch_size: int = PREDICTED_AT_ONCE) -> None:
    """Record a prediction for each item, and its score if the label is known; none is as wrong as a wrong one."""
    for start in range(0, len(split), batch_size):
        part = slice(start, start + batch_size)
        answers = session.predict(split.inputs[part]).result()
        for item, answer in zip(split[part], answers, strict=True):
            score = None if item.label is None else float(answer.value == item.label)
            run.predict(item.id, prediction=answer.value, score=score, label=item.label, split=split.name)
