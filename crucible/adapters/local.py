"""Real training on this machine's processor, in NumPy: low-rank adapters on a frozen base network.

The base network learns a dataset once per log (`crucible.adapters.pretraining`); a session trains only its adapter.
Everything random follows from the seed: first weights from it alone, dropout from it and the number of the step, so
that a loaded session goes on with the very bits of one that was never saved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydantic
from numpy.typing import NDArray

from crucible.adapters.network import AdaptedNetwork, LowRank, dropout_masks
from crucible.adapters.optimizer import AdamW
from crucible.adapters.options import check_options
from crucible.adapters.pretraining import BaseOptions, Pretrained, pretrained
from crucible.adapters.protocol import (
    Batch,
    Capabilities,
    Done,
    LossReport,
    OpenRequest,
    OptimizerReport,
    Prediction,
)
from crucible.adapters.tensors import pack, unpack
from crucible.adapters.threads import hold_one_thread, release_one_thread
from crucible.canonical import hash_parts
from crucible.errors import AdapterError, DefinitionError, Problem

STATE_FILE: Final = "adapter.safetensors"
STATE_VERSION: Final = 1
RANK_MAX: Final = 1024


class LocalOptions(pydantic.BaseModel):
    """Options of the local adapter."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)

    rank: int = pydantic.Field(default=8, ge=1, le=RANK_MAX, description="rank of the change to each weight matrix")
    alpha: float = pydantic.Field(default=16.0, gt=0, description="the change is scaled by alpha / rank")
    dropout: float = pydantic.Field(default=0.0, ge=0, lt=1, description="share of adapter inputs dropped in training")
    weight_decay: float = pydantic.Field(default=0.0, ge=0, description="decoupled weight decay (AdamW)")
    base: BaseOptions = pydantic.Field(default=BaseOptions(), description="the frozen network underneath")


class LocalAdapter:
    """Low-rank adapters on a small frozen network, trained in this process."""

    name = "local"
    summary = "low-rank adapters on a frozen network, trained for real on this processor (NumPy)"
    simulated = False
    capabilities = Capabilities(
        can_train=True, can_predict=True, can_resume=True, is_deterministic=True, is_remote=False
    )
    options: type[pydantic.BaseModel] = LocalOptions

    def open(self, request: OpenRequest) -> LocalSession:
        """Start from an adapter that changes nothing yet."""
        options = check_options(self.name, LocalOptions, request.options)
        session = LocalSession(options, request.seed, pretrained(options.base, request))
        session.adapter.initialize(_rng(request.seed, "weights"))
        return session

    def load(self, request: OpenRequest, folder: Path) -> LocalSession:
        """Go on from what `LocalSession.save` wrote."""
        arrays, facts = _read_state(folder)
        saved = check_options(self.name, LocalOptions, facts["options"])
        if request.options:
            _refuse_difference(check_options(self.name, LocalOptions, request.options), saved)
        base = pretrained(saved.base, request)
        if base.digest != facts["base_digest"]:
            message = (
                f"{folder / STATE_FILE} was trained on the base network {facts['base_digest']}, this log's is "
                f"{base.digest}: use it with the log that it comes from"
            )
            raise AdapterError(message)
        session = LocalSession(saved, facts["seed"], base)
        try:
            session.restore(arrays, facts["step"])
        except (KeyError, ValueError) as error:
            session.close()
            message = f"{folder / STATE_FILE} does not fit its own options: {error}"
            raise AdapterError(message) from error
        return session


class LocalSession:
    """An adapter in training, or one that is asked."""

    def __init__(self, options: LocalOptions, seed: int, base: Pretrained) -> None:
        """Start with an adapter of zeros."""
        self.options = options
        self.pretrained = base
        self.adapter = LowRank(base.base.shapes, options.rank)
        self._network = AdaptedNetwork(base.base, self.adapter, options.alpha / options.rank)
        self._seed = seed
        self._gradient = LowRank(base.base.shapes, options.rank)
        self._targets = 0
        self._passes = 0
        self._optimizer: AdamW | None = AdamW(self.adapter.vector.size)
        self._step = 0
        self._classes = {label: number for number, label in enumerate(base.classes)}
        self._dropout_key = np.frombuffer(hash_parts("dropout", seed)[:16], dtype="<u8")
        self._is_open = True
        hold_one_thread()

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self._step

    def describe(self) -> Mapping[str, Any]:
        """Return options, digests of base network and its dataset, and the number of trained weights."""
        return {
            "adapter": LocalAdapter.name,
            "simulated": LocalAdapter.simulated,
            "options": self.options.model_dump(mode="json"),
            "base_digest": self.pretrained.digest,
            "base_dataset_digest": self.pretrained.dataset_digest,
            "trained_weights": int(self.adapter.vector.size),
        }

    def forward_backward(self, batch: Batch) -> Done[LossReport]:
        """Measure the mean cross-entropy and add its gradient to the next step."""
        self._check_open()
        inputs, classes = self._rows(batch.inputs), self._targets_of(batch)
        masks = None
        if self.options.dropout:
            rng = np.random.Generator(
                np.random.Philox(key=self._dropout_key, counter=[0, 0, self._passes, self._step + 1])
            )
            masks = dropout_masks(self.pretrained.base.shapes, len(classes), self.options.dropout, rng)
        loss = self._network.add_gradient(inputs, classes, self._gradient, masks=masks)
        self._targets += len(classes)
        self._passes += 1
        return Done(LossReport(loss=loss / len(classes), reduction="mean", denominator=len(classes)))

    def optimizer_step(self, learning_rate: float) -> Done[OptimizerReport]:
        """Apply the mean gradient by AdamW."""
        self._check_open()
        if self._optimizer is None:
            message = "this adapter was saved to predict only, without its optimizer; load a checkpoint to train on"
            raise AdapterError(message)
        if self._passes == 0:
            message = "there is no gradient to apply; call forward_backward before optimizer_step"
            raise AdapterError(message)
        gradient = self._gradient.vector
        with np.errstate(all="ignore"):  # a diverged model's NaN and infinity are results, not faults
            gradient /= self._targets
            norm = float(np.sqrt(gradient @ gradient))
        self._optimizer.apply(self.adapter.vector, gradient, learning_rate, self.options.weight_decay)
        gradient[:] = 0
        self._targets = self._passes = 0
        self._step += 1
        return Done(OptimizerReport(step=self._step, learning_rate=learning_rate, grad_norm=norm))

    def predict(self, inputs: Any) -> Done[Sequence[Prediction]]:
        """Answer with the most probable class; give none where its probability is not a number."""
        self._check_open()
        logits = self._network.logits(self._rows(inputs))
        with np.errstate(all="ignore"):  # a diverged model's NaN and infinity are results, not faults
            best = logits.argmax(axis=1)
            shifted = logits - logits.max(axis=1, keepdims=True)
            confidences = 1 / np.exp(shifted).sum(axis=1)
        classes = self.pretrained.classes
        return Done(
            [
                Prediction(classes[index], confidence) if math.isfinite(confidence) else Prediction(None, None)
                for index, confidence in zip(best.tolist(), confidences.tolist(), strict=True)
            ]
        )

    def save(self, folder: Path, *, with_optimizer: bool = True) -> None:
        """Write one safetensors file: weights, moments, step, seed, options and the digest of the base network."""
        self._check_open()
        if self._passes:
            message = "a gradient waits to be applied; save between steps, after optimizer_step"
            raise AdapterError(message)
        arrays: dict[str, NDArray[np.float64]] = {}
        for layer, (down, up) in enumerate(zip(self.adapter.down, self.adapter.up, strict=True)):
            arrays[f"{layer:02d}.down"], arrays[f"{layer:02d}.up"] = down, up
        if with_optimizer and self._optimizer is not None:
            arrays |= {"adam.first": self._optimizer.first, "adam.second": self._optimizer.second}
        facts = {
            "kind": "adapter",
            "version": STATE_VERSION,
            "step": self._step,
            "seed": self._seed,
            "options": self.options.model_dump(mode="json"),
            "base_digest": self.pretrained.digest,
        }
        (folder / STATE_FILE).write_bytes(pack(arrays, facts))

    def restore(self, arrays: Mapping[str, NDArray[np.float64]], step: int) -> None:
        """Take weights and moments from a saved state; KeyError or ValueError if they do not fit."""
        for layer, (down, up) in enumerate(zip(self.adapter.down, self.adapter.up, strict=True)):
            down[...] = arrays[f"{layer:02d}.down"]
            up[...] = arrays[f"{layer:02d}.up"]
        self._step = step
        if "adam.first" not in arrays:
            self._optimizer = None
        elif self._optimizer is not None:
            self._optimizer.first[...] = arrays["adam.first"]
            self._optimizer.second[...] = arrays["adam.second"]
            self._optimizer.step = step

    def close(self) -> None:
        """Let go of the thread limit; a second call does nothing."""
        if self._is_open:
            self._is_open = False
            release_one_thread()

    def _check_open(self) -> None:
        if not self._is_open:
            message = "the session is closed; open or load another one"
            raise AdapterError(message)

    def _rows(self, inputs: Any) -> NDArray[np.float64]:
        width = self.pretrained.base.shapes[0][0]
        try:
            rows = np.asarray(inputs, dtype=np.float64)
        except (TypeError, ValueError) as error:
            message = f"inputs must be rows of {width} numbers: {error}"
            raise AdapterError(message) from error
        if rows.ndim != 2 or rows.shape[1] != width:  # noqa: PLR2004 - rows and columns
            message = f"inputs must be rows of {width} numbers, got an array of shape {rows.shape}"
            raise AdapterError(message)
        return rows

    def _targets_of(self, batch: Batch) -> NDArray[np.int64]:
        if not len(batch.ids) == len(batch.inputs) == len(batch.labels) or not len(batch):
            message = (
                f"a batch needs as many ids, inputs and labels, at least one of each; got {len(batch.ids)}, "
                f"{len(batch.inputs)} and {len(batch.labels)}"
            )
            raise AdapterError(message)
        try:
            return np.array([self._classes[label] for label in batch.labels], dtype=np.int64)
        except KeyError as error:
            message = f"the base network has no class {error.args[0]!r}, only {list(self._classes)}"
            raise AdapterError(message) from error


def _rng(seed: int, stream: str) -> np.random.Generator:
    return np.random.default_rng(np.frombuffer(hash_parts(stream, seed), dtype="<u4"))


def _read_state(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    path = folder / STATE_FILE
    try:
        arrays, facts = unpack(path.read_bytes(), "adapter")
    except OSError as error:
        message = f"can't read {path}: {error.strerror}; is it a folder that the local adapter saved to?"
        raise AdapterError(message) from error
    except AdapterError as error:
        message = f"{path}: {error}"
        raise AdapterError(message) from error
    if facts["version"] != STATE_VERSION:
        message = f"{path} has version {facts['version']}, this Crucible reads {STATE_VERSION}"
        raise AdapterError(message)
    return arrays, facts


def _refuse_difference(given: LocalOptions, saved: LocalOptions) -> None:
    """Raise DefinitionError that names each option that is not as saved."""
    problems = [
        Problem(
            f"adapter {LocalAdapter.name}: {name}",
            "differs from the saved session's",
            value=repr(getattr(given, name)),
            expected=repr(getattr(saved, name)),
        )
        for name in LocalOptions.model_fields
        if getattr(given, name) != getattr(saved, name)
    ]
    if problems:
        raise DefinitionError(problems)
