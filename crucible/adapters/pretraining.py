"""The frozen base network of the local adapter: trained once per log from a dataset, then kept by digest."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, Final

import numpy as np
import pydantic

from crucible.adapters.kept import Kept
from crucible.adapters.network import Base, Floats, cross_entropy
from crucible.adapters.optimizer import AdamW
from crucible.adapters.protocol import OpenRequest
from crucible.adapters.tensors import pack, unpack
from crucible.adapters.threads import one_thread
from crucible.canonical import digest_of, hash_parts
from crucible.datasets.dataset import Label, Split
from crucible.errors import AdapterError

RECIPE_VERSION: Final = 1
"""Changes whenever the same options would give another network."""

SPLIT: Final = "train"


class BaseOptions(pydantic.BaseModel):
    """How the base network is made."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)

    dataset: str | dict[str, Any] = pydantic.Field(
        default="digits", description="reference of the dataset whose training split it learns"
    )
    hidden: list[int] = pydantic.Field(
        default=[96, 48], min_length=1, max_length=8, description="units of each hidden layer"
    )
    epochs: int = pydantic.Field(default=30, ge=1, le=10_000, description="passes over the training split")
    learning_rate: float = pydantic.Field(default=1e-3, gt=0, description="Adam's learning rate")
    batch_size: int = pydantic.Field(default=32, ge=1, description="examples per step")
    seed: int = pydantic.Field(default=0, ge=0, description="seed of its first weights and of the order of examples")

    @pydantic.field_validator("hidden")
    @classmethod
    def _positive(cls, hidden: list[int]) -> list[int]:
        if min(hidden) < 1:
            message = "each hidden layer needs at least one unit"
            raise ValueError(message)
        return hidden


@dataclasses.dataclass(frozen=True, slots=True)
class Pretrained:
    """A base network, and what its outputs mean."""

    base: Base
    classes: tuple[Label, ...]
    """Label of each output."""
    digest: str
    """SHA-256 of the blob."""
    dataset_digest: str
    """Digest of the dataset that it learned from."""


def pretrained(options: BaseOptions, request: OpenRequest) -> Pretrained:
    """Return the base network of this log for ``options``, training it if no run did so before."""
    dataset = request.load_dataset(options.dataset)
    recipe = {"version": RECIPE_VERSION, "dataset": dataset.digest, **options.model_dump(exclude={"dataset"})}
    kept = Kept(request.kept_folder, request.blobs)

    def make() -> bytes:
        with one_thread():
            base = train_base(dataset.split(SPLIT), dataset.classes, options)
        arrays = {f"{i:02d}.weights": weights for i, weights in enumerate(base.weights)}
        arrays |= {f"{i:02d}.biases": biases for i, biases in enumerate(base.biases)}
        return pack(arrays, {"kind": "base", "recipe": recipe, "classes": list(dataset.classes)})

    digest, content = kept.get_or_make(digest_of(recipe), make)
    arrays, facts = unpack(content, "base")
    layers = range(len(arrays) // 2)
    for array in arrays.values():
        array.setflags(write=False)
    base = Base(tuple(arrays[f"{i:02d}.weights"] for i in layers), tuple(arrays[f"{i:02d}.biases"] for i in layers))
    return Pretrained(base, tuple(facts["classes"]), digest, dataset.digest)


def train_base(split: Split, classes: tuple[Label, ...], options: BaseOptions) -> Base:
    """Train all weights by minibatch Adam on the mean cross-entropy; the same arguments give the same bytes."""
    inputs = split.array()
    if len(classes) < 2:  # noqa: PLR2004 - one class leaves nothing to learn
        message = f"a base network needs at least two classes, the dataset has {list(classes)}"
        raise AdapterError(message)
    index = {label: number for number, label in enumerate(classes)}
    targets = np.array([index[label] for label in split.labels], dtype=np.int64)
    rng = np.random.default_rng(np.frombuffer(hash_parts("base", options.seed), dtype="<u4"))
    sizes = [inputs.shape[1], *options.hidden, len(classes)]
    weights = [rng.standard_normal((n, m)) * np.sqrt(2 / n) for n, m in itertools.pairwise(sizes)]
    biases = [np.zeros(m) for m in sizes[1:]]
    optimizers = [AdamW(array.size) for array in (*weights, *biases)]
    for _ in range(options.epochs):
        order = rng.permutation(len(targets))
        for start in range(0, len(order), options.batch_size):
            chosen = order[start : start + options.batch_size]
            gradients = _gradients(weights, biases, inputs[chosen], targets[chosen])
            for array, gradient, optimizer in zip((*weights, *biases), gradients, optimizers, strict=True):
                optimizer.apply(array.reshape(-1), gradient.reshape(-1), options.learning_rate, weight_decay=0)
    return Base(tuple(weights), tuple(biases))


def _gradients(
    weights: list[Floats], biases: list[Floats], inputs: Floats, targets: np.ndarray[Any, np.dtype[np.int64]]
) -> list[Floats]:
    """Gradients of the mean loss by each of the weights, then by each of the biases."""
    last = len(weights) - 1
    hiddens = [inputs]
    for layer, (matrix, bias) in enumerate(zip(weights, biases, strict=True)):
        logits = hiddens[-1] @ matrix + bias
        hiddens.append(logits if layer == last else np.maximum(logits, 0))
    _, gradient = cross_entropy(hiddens[-1], targets)
    gradient /= len(targets)
    by_weights: list[Floats] = []
    by_biases: list[Floats] = []
    for layer in range(last, -1, -1):
        by_weights.append(hiddens[layer].T @ gradient)
        by_biases.append(gradient.sum(axis=0))
        if layer:
            gradient = (gradient @ weights[layer].T) * (hiddens[layer] > 0)
    return [*reversed(by_weights), *reversed(by_biases)]
