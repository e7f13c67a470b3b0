"""Your own training function as a stage: a small network learns to read digits.

    crucible run own_stage.py -j 2

Nothing here is special to Crucible but `run`: it gives the seed, the data and the last checkpoint, and takes what is
measured and made. `crucible init yaml` writes the same experiment in YAML.
"""

import io
from collections.abc import Iterator
from os import PathLike
from typing import Any, BinaryIO

import numpy as np

import crucible as cr

Model = dict[str, np.ndarray[Any, Any]]


@cr.stage(
    metrics={
        "val/accuracy": cr.metric(unit="ratio", better="higher", range=(0, 1)),
        "train/loss": cr.metric(unit="nat", better="lower"),
    },
    artifacts=["model"],
)
def fit(run: cr.Run, *, learning_rate: float, hidden: int = 64, epochs: int = 20) -> dict[str, float]:
    """Train a network with one hidden layer by gradient descent."""
    run.seed_everything()
    data = run.dataset("digits")  # by digest, recorded as an input
    model, start = new_model(hidden, run.rng("weights")), 0
    if checkpoint := run.resume():  # the newest durable one of an earlier attempt
        model, start = load(checkpoint.path / "model.npz"), checkpoint.step
    for step, (pictures, labels) in run.steps(batches(data.split("train"), run.rng("order"), epochs), start=start):
        run.log({"train/loss": update(model, pictures, labels, learning_rate)}, step=step)
        if run.checkpoint_due:  # by policy, or because the worker drains
            with run.checkpoint(step) as folder:
                save(folder / "model.npz", model)
    content = io.BytesIO()
    save(content, model)
    run.artifact("model", content.getvalue(), kind="model")
    validation = data.split("val")
    return {"val/accuracy": float(np.mean(predict(model, validation.array()) == validation.labels))}


@cr.stage(metrics={"test/accuracy": cr.mean_score("test", unit="ratio", better="higher", range=(0, 1))})
def score(run: cr.Run, model: cr.Artifact) -> None:
    """Predict each picture of the test split."""
    test = run.dataset("digits").split("test")
    for item, guess in zip(test, predict(load(model.path), test.array()), strict=True):
        run.predict(item.id, prediction=int(guess), score=float(guess == item.label), label=item.label)


def new_model(hidden: int, rng: np.random.Generator) -> Model:
    return {
        "in": rng.normal(size=(64, hidden)) / 8,
        "in_bias": np.zeros(hidden),
        "out": rng.normal(size=(hidden, 10)) / np.sqrt(hidden),
        "out_bias": np.zeros(10),
    }


def batches(split: Any, rng: np.random.Generator, epochs: int, size: int = 32) -> Iterator[tuple[Any, Any]]:
    pictures, labels = split.array(), np.array(split.labels)
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield pictures[chosen], labels[chosen]


def forward(model: Model, pictures: Any) -> tuple[Any, Any]:
    hidden = np.tanh(pictures @ model["in"] + model["in_bias"])
    scores = np.exp(hidden @ model["out"] + model["out_bias"])
    return hidden, scores / scores.sum(axis=1, keepdims=True)


def update(model: Model, pictures: Any, labels: Any, learning_rate: float) -> float:
    """Take one step of gradient descent; the loss before it, in nats."""
    hidden, probabilities = forward(model, pictures)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels]).mean()
    error = probabilities / len(labels)
    error[rows, labels] -= 1 / len(labels)
    back = (error @ model["out"].T) * (1 - hidden**2)
    for name, gradient in (
        ("out", hidden.T @ error),
        ("out_bias", error.sum(axis=0)),
        ("in", pictures.T @ back),
        ("in_bias", back.sum(axis=0)),
    ):
        model[name] -= learning_rate * gradient
    return float(loss)


def predict(model: Model, pictures: Any) -> Any:
    return forward(model, pictures)[1].argmax(axis=1)


def save(target: PathLike[str] | BinaryIO, model: Model) -> None:
    np.savez(target, **model)


def load(source: PathLike[str]) -> Model:
    with np.load(source) as arrays:
        return {name: arrays[name] for name in arrays.files}


experiment = cr.Experiment(
    "own_stage",
    description="A network with one hidden layer learns upright digits by gradient descent",
    tags=["example"],
    seed=7,
    repeat=5,
    margin=0.01,
    parameters={"fit.learning_rate": [0.03, 0.1, 0.3]},
    stages=[fit, score.with_inputs(model="fit.model")],
    select="val/accuracy",
    quality_targets={"test/accuracy": cr.at_least(0.9)},
)

if __name__ == "__main__":
    print(experiment.run(jobs=2).runs.df())
