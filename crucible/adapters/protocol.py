"""What an adapter is: whatever trains and predicts, in this process or far away.

An `Adapter` opens a `Session`; a session takes steps, predicts, is saved to a folder, and is closed. The operations
that a remote trainer queues return `Pending`: submit both halves of a step, then wait for both (`take_step` does). A
saved session comes back only by `Adapter.load`, since remote trainers restore state only into a new session.

Rules for every adapter:

- Credentials live only inside it. They are neither options nor part of any report, saved file, message or ``repr``.
- ``simulated`` is True if anything that it reports was not measured on a model that was really trained or asked.
- What it measures it reports as measured: a loss that became NaN or infinite is that loss.
- After an error a session is only good for `Session.close`; go on by loading the last saved state.
- Remote effects carry ``OpenRequest.idempotency_key``, so that a repeated claim does not double them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import pydantic

    from crucible.datasets.dataset import Dataset, Label

Reduction = Literal["mean", "sum"]

Value_co = TypeVar("Value_co", covariant=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do; a stage that needs more is refused before it trains."""

    can_train: bool
    """It takes steps."""
    can_predict: bool
    """It predicts."""
    can_resume: bool
    """A loaded session goes on as if it had never been saved."""
    is_deterministic: bool
    """The same options, seed and batches give the same bytes, on one kind of CPU."""
    is_remote: bool
    """It works in another process or place, and needs credentials or an address."""


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Examples of one step: as many ids as inputs and labels."""

    ids: Sequence[str]
    """Item ids."""
    inputs: Any
    """Inputs as the dataset holds them: an array of one row per item, or a sequence."""
    labels: Sequence[Label]
    """What should come out."""

    def __len__(self) -> int:
        """How many examples."""
        return len(self.ids)


@dataclasses.dataclass(frozen=True, slots=True)
class LossReport:
    """What one pass over a batch measured, before the step changes anything."""

    loss: float
    """Cross-entropy in nats; NaN and infinity are kept."""
    reduction: Reduction
    """How the losses of single targets were put together."""
    denominator: float
    """How many targets (items or tokens): a mean divides by it, a sum would have to."""


@dataclasses.dataclass(frozen=True, slots=True)
class OptimizerReport:
    """What one optimizer step did."""

    step: int
    """Optimizer steps done, from 1."""
    learning_rate: float
    """The rate that was applied."""
    grad_norm: float | None
    """Euclidean norm of the gradient of the mean loss; None: not measured."""


@dataclasses.dataclass(frozen=True, slots=True)
class StepReport:
    """Both halves of a step."""

    step: int
    """Optimizer steps done, from 1."""
    loss: float
    """As in `LossReport`."""
    reduction: Reduction
    """As in `LossReport`."""
    denominator: float
    """As in `LossReport`."""
    grad_norm: float | None
    """As in `OptimizerReport`."""
    learning_rate: float
    """As in `OptimizerReport`."""
    examples: int
    """Examples in the batch."""
    seconds: float
    """Duration of the step as seen here."""

    @property
    def mean_loss(self) -> float:
        """Loss per target, whatever the reduction."""
        return self.loss if self.reduction == "mean" else self.loss / self.denominator

    @property
    def examples_per_second(self) -> float | None:
        """Throughput; None if the clock did not move."""
        return self.examples / self.seconds if self.seconds > 0 else None


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """An answer for one input."""

    value: Label
    """The label or text; None: the model gave none, for example because its weights are no numbers any more."""
    confidence: float | None
    """Probability of the answer under the model; None: not measured."""


class Pending(Protocol[Value_co]):
    """A result that may still be on its way."""

    def result(self, timeout_s: float | None = None) -> Value_co:
        """Wait for it. Raises AdapterError, or TransientError when ``timeout_s`` passes; it may be asked for again."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Done(Pending[Value_co]):
    """A result that is there."""

    value: Value_co

    def result(self, timeout_s: float | None = None) -> Value_co:  # noqa: ARG002 - nothing to wait for
        """Return it."""
        return self.value


class Blobs(Protocol):
    """The part of a blob store that an adapter needs."""

    def put_bytes(self, data: bytes) -> str:
        """Keep ``data`` and return its digest, once it is durable."""
        ...

    def get_bytes(self, digest: str) -> bytes:
        """Return the content; BlobError if it is missing or does not match its digest."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class OpenRequest:
    """What an adapter is given to open or load a session: all that it may touch."""

    options: Mapping[str, Any]
    """Options as the experiment gives them; the adapter checks them."""
    seed: int
    """Seed of the run; everything random follows from it."""
    blobs: Blobs
    """Where to keep what is made once per log, by digest."""
    kept_folder: Path
    """Folder for the names of what is made once per log; shared with other workers on this log."""
    load_dataset: Callable[[str | Mapping[str, Any]], Dataset]
    """Loads a dataset by reference."""
    idempotency_key: str
    """The claim; remote effects carry it."""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Names for people, such as run and experiment; a remote trainer may show them."""


class Session(Protocol):
    """A model that is being trained or asked. Not for several threads at once."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return what the session is made of, as JSON values for records: options, digests, sizes; no credentials."""
        ...

    def forward_backward(self, batch: Batch) -> Pending[LossReport]:
        """Measure the loss on ``batch`` and add its gradient to what the next optimizer step applies."""
        ...

    def optimizer_step(self, learning_rate: float) -> Pending[OptimizerReport]:
        """Apply the gradients added since the last step, averaged over all their targets."""
        ...

    def save(self, folder: Path, *, with_optimizer: bool = True) -> None:
        """Write all that `Adapter.load` needs into an existing folder; without optimizer, to predict only."""
        ...

    def predict(self, inputs: Any) -> Pending[Sequence[Prediction]]:
        """Answer each input, in order; does not change the model."""
        ...

    def close(self) -> None:
        """Let go of everything; a second call does nothing."""
        ...


class Adapter(Protocol):
    """A way to train and to predict, found by name."""

    @property
    def name(self) -> str:
        """What experiments call it."""
        ...

    @property
    def summary(self) -> str:
        """What it is, in one line."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether its numbers are made up rather than measured; shown wherever they are."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def options(self) -> type[pydantic.BaseModel]:
        """Model of its options; refuses unknown ones, and holds no credentials."""
        ...

    def open(self, request: OpenRequest) -> Session:
        """Start a session from scratch. Raises DefinitionError with every problem of the options, AdapterError."""
        ...

    def load(self, request: OpenRequest, folder: Path) -> Session:
        """Start a session from a folder that `Session.save` wrote.

        The request's options must be those of the saved session, or empty: then the saved ones hold. Raises
        DefinitionError if they differ, AdapterError if the folder holds no state of this adapter.
        """
        ...
