"""The built-in stage ``train``: minibatch training through the experiment's adapter."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

import crucible as cr
from crucible.adapters import Batch, ScheduleName, Session, StepReport, learning_rate_at, take_step
from crucible.datasets import Split
from crucible.definition.metrics import Declared
from crucible.errors import AdapterError
from crucible.processors.stages.eval import predict_split

ARTIFACT = "adapter"
"""Name of the artifact: what ``eval`` takes as its input."""

ORDER_STREAM = "order"


def declare_metrics(options: Mapping[str, Any]) -> dict[str, Declared]:
    """Return what the stage measures at each step, and the accuracy on its validation split."""
    return {
        "train/loss": cr.metric(unit="nat", better="lower"),
        "train/loss_denominator": cr.metric(unit="target"),
        "train/grad_norm": cr.metric(better="lower"),
        "train/learning_rate": cr.metric(),
        "train/examples_per_second": cr.metric(unit="example/s", better="higher", kind="timing"),
        f"{options['validation_split']}/accuracy": cr.mean_score(
            options["validation_split"], unit="ratio", better="higher", range=(0, 1)
        ),
    }


@cr.stage(metrics=declare_metrics, artifacts=[ARTIFACT])
def train(
    run: cr.Run,
    *,
    dataset: Annotated[str, Field(description="name or source of the dataset")],
    rank: Annotated[int, Field(ge=1, description="rank of the adapter")] = 8,
    alpha: Annotated[float, Field(gt=0, description="the adapter is scaled by alpha / rank")] = 16.0,
    dropout: Annotated[float, Field(ge=0, lt=1, description="share of adapter inputs dropped")] = 0.0,
    learning_rate: Annotated[float, Field(ge=0, description="highest learning rate")] = 3e-3,
    weight_decay: Annotated[float, Field(ge=0, description="decoupled weight decay")] = 0.0,
    schedule: Annotated[ScheduleName, Field(description="learning rate over the steps")] = "constant",
    warmup_steps: Annotated[int, Field(ge=0, description="steps of rise before the schedule")] = 0,
    epochs: Annotated[int, Field(ge=1, description="passes over the training split")] = 10,
    steps: Annotated[int | None, Field(ge=1, description="optimizer steps; none: epochs decide")] = None,
    batch_size: Annotated[int, Field(ge=1, description="examples in a step")] = 32,
    validation_split: Annotated[str, Field(description="split that is scored at the end")] = "val",
    adapter_options: Annotated[dict[str, Any] | None, Field(description="further options of the adapter")] = None,
) -> None:
    """Train a low-rank adapter on the training split; keep it, and score it on the validation split.

    ``steps`` optimizer steps are taken, or ``epochs`` passes if it is not given. ``adapter_options`` are further
    options of the adapter. ``train/loss`` is the mean over the batch's targets, ``train/loss_denominator`` their
    number.
    """
    run.seed_everything()
    data = run.dataset(dataset)
    split = data.split("train")
    total = steps if steps is not None else epochs * -(-len(split) // batch_size)
    chosen = {"rank": rank, "alpha": alpha, "dropout": dropout, "weight_decay": weight_decay}
    can_resume = run.adapter().capabilities.can_resume
    with contextlib.closing(_session(run, {**(adapter_options or {}), **chosen})) as session:
        batches = itertools.islice(_batches(run, split, batch_size), total)
        for step, batch in run.steps(batches, start=session.step, total=total):
            rate = learning_rate_at(step, total, learning_rate, schedule, warmup_steps)
            _log(run, take_step(session, batch, rate))
            if can_resume and run.checkpoint_due:
                with run.checkpoint(step) as folder:
                    session.save(folder)
        _keep(run, session)
        predict_split(run, session, data.split(validation_split))


def _session(run: cr.Run, options: Mapping[str, Any]) -> Session:
    """Open a session, or load the newest checkpoint of an earlier attempt."""
    adapter, request = run.adapter(), run.open_request(options)
    if not adapter.capabilities.can_train:
        message = f"adapter {adapter.name} does not train; use it in eval, or name another adapter"
        raise AdapterError(message)
    checkpoint = run.resume() if adapter.capabilities.can_resume else None
    return adapter.open(request) if checkpoint is None else adapter.load(request, checkpoint.path)


def _batches(run: cr.Run, split: Split, batch_size: int) -> Iterator[Batch]:
    """Yield the split again and again, each time in an order of its own that depends on the seed alone."""
    for epoch in itertools.count(1):
        order = run.rng(ORDER_STREAM, step=epoch).permutation(len(split))
        for start in range(0, len(order), batch_size):
            part = split.take(order[start : start + batch_size])
            yield Batch(part.ids, part.inputs, part.labels)


def _log(run: cr.Run, report: StepReport) -> None:
    values = {
        "train/loss": report.mean_loss,
        "train/loss_denominator": report.denominator,
        "train/grad_norm": report.grad_norm,
        "train/learning_rate": report.learning_rate,
        "train/examples_per_second": report.examples_per_second,
    }
    run.log({name: value for name, value in values.items() if value is not None}, step=report.step)


def _keep(run: cr.Run, session: Session) -> None:
    """Save what predicting needs as the stage's artifact."""
    folder = run.scratch / ARTIFACT
    folder.mkdir()
    session.save(folder, with_optimizer=False)
    run.artifact(ARTIFACT, folder, kind="model", metadata=session.describe())
