"""What every adapter must do, as tests: subclass `AdapterConformance` in a test file and say how to make yours.

::

    class TestMyAdapter(AdapterConformance):
        credentials = {"MY_API_KEY": "key"}

        def make_adapter(self):
            return MyAdapter()

pytest collects the inherited tests. What an adapter says it can't do (``capabilities``) is skipped.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from crucible import datasets
from crucible.adapters import Adapter, Batch, OpenRequest, Prediction, Session, StepReport, take_step
from crucible.blobs import FolderBlobs
from crucible.canonical import canonical_json
from crucible.errors import AdapterError, DefinitionError

SECRET_WORDS = ("key", "token", "secret", "password", "credential")
"""An option with such a word in its name would put a credential on the log."""


class AdapterConformance:
    """The suite. Class attributes fit a small model; override those that do not fit yours."""

    options: ClassVar[Mapping[str, Any]] = {}
    """Options of the sessions under test, on top of the adapter's defaults."""
    changed_options: ClassVar[Mapping[str, Any]] = {"rank": 3}
    """Options that a saved session does not have."""
    bad_options: ClassVar[Mapping[str, Any]] = {"no_such_option": 1, "neither_this_one": 2}
    """Options of which each is a problem of its own."""
    credentials: ClassVar[Mapping[str, str]] = {}
    """For each environment variable with a credential, the value to be looked for everywhere; empty: it needs none."""
    dataset: ClassVar[str | Mapping[str, Any]] = "digits_rotated"
    """Reference of a dataset that the adapter can learn."""
    learning_rate: ClassVar[float] = 3e-3
    batch_size: ClassVar[int] = 32
    learning_steps: ClassVar[int] = 60
    """Steps after which the loss must be clearly lower."""
    learned_share: ClassVar[float] = 0.7
    """The mean loss of the last quarter of these steps is at most this share of the first quarter's."""
    timeout_s: ClassVar[float] = 600.0
    """How long a result may take."""

    def make_adapter(self) -> Adapter:
        """Return the adapter under test."""
        raise NotImplementedError

    # Tools of the tests

    @pytest.fixture(autouse=True)
    def _prepare(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for variable, value in self.credentials.items():
            monkeypatch.setenv(variable, value)
        self.start(tmp_path)
        yield
        self.stop()

    def start(self, folder: Path) -> None:
        """Make the adapter; everything that the tests write goes below ``folder``. Called before each test."""
        self._folder = folder
        self._open: list[Session] = []
        self.adapter = self.make_adapter()

    def stop(self) -> None:
        """Close what the test opened. Called after each test."""
        for session in self._open:
            session.close()

    def request(self, options: Mapping[str, Any] | None = None, *, seed: int = 7) -> OpenRequest:
        """Return what a worker would give the adapter."""
        return OpenRequest(
            options={**self.options, **(options or {})},
            seed=seed,
            blobs=FolderBlobs(self._folder / "blobs"),
            kept_folder=self._folder / "kept",
            load_dataset=datasets.load,
            idempotency_key=str(uuid.uuid4()),
            labels={"run": "conformance#1/x.1", "experiment": "conformance"},
        )

    def open(self, options: Mapping[str, Any] | None = None, *, seed: int = 7) -> Session:
        """Open a session that is closed after the test."""
        session = self.adapter.open(self.request(options, seed=seed))
        self._open.append(session)
        return session

    def load(self, folder: Path, options: Mapping[str, Any] | None = None) -> Session:
        """Load a session with the options of the saved one, or with ``options``."""
        request = self.request(options)
        session = self.adapter.load(request if options else dataclasses.replace(request, options={}), folder)
        self._open.append(session)
        return session

    def saved(self, session: Session, name: str, *, with_optimizer: bool = True) -> Path:
        """Save into a new folder."""
        folder = self._folder / "saved" / name
        folder.mkdir(parents=True)
        session.save(folder, with_optimizer=with_optimizer)
        return folder

    def batches(self, count: int) -> list[Batch]:
        """Return batches of the training split, in its order, again and again."""
        split = datasets.load(self.dataset).split("train")
        starts = itertools.cycle(range(0, len(split) - self.batch_size + 1, self.batch_size))
        return [self._batch(split, slice(start, start + self.batch_size)) for start in itertools.islice(starts, count)]

    def inputs(self, count: int = 16) -> Any:
        """Return inputs of the validation split."""
        return datasets.load(self.dataset).split("val").inputs[:count]

    def train(self, session: Session, batches: Sequence[Batch]) -> list[StepReport]:
        """Take a step with each batch."""
        return [take_step(session, batch, self.learning_rate, timeout_s=self.timeout_s) for batch in batches]

    def ask(self, session: Session, inputs: Any) -> list[Prediction]:
        """Predict and wait."""
        return list(session.predict(inputs).result(self.timeout_s))

    def need(self, capability: str) -> None:
        """Skip the test if the adapter says that it can't."""
        if not getattr(self.adapter.capabilities, capability):
            pytest.skip(f"the adapter declares {capability}=False")

    @staticmethod
    def _batch(split: datasets.Split, part: slice) -> Batch:
        return Batch(split.ids[part], split.inputs[part], split.labels[part])

    # What it declares

    def test_it_says_what_it_is_and_whether_it_simulates(self) -> None:
        """Name, summary and ``simulated`` stand before anything runs, and each session repeats the last."""
        assert self.adapter.name
        assert "\n" not in self.adapter.summary
        assert isinstance(self.adapter.simulated, bool)
        described = self.open().describe()
        assert described["simulated"] is self.adapter.simulated
        assert canonical_json(dict(described)), "describe() must be JSON values"

    def test_options_have_a_schema_with_a_description_of_each(self) -> None:
        """``crucible list adapters`` prints it."""
        properties = self.adapter.options.model_json_schema()["properties"]
        assert all("description" in described for described in properties.values())

    def test_bad_options_are_refused_with_every_problem_at_once(self) -> None:
        """One answer to a wrong experiment, not one for each try."""
        with pytest.raises(DefinitionError) as refused:
            self.open(self.bad_options)
        text = str(refused.value)
        assert len(refused.value.problems) >= len(self.bad_options)
        assert all(name in text for name in self.bad_options)

    # Steps

    def test_each_step_reports_loss_denominator_rate_and_throughput(self) -> None:
        """Steps count from 1."""
        self.need("can_train")
        session = self.open()
        assert session.step == 0
        for number, batch in enumerate(self.batches(3), start=1):
            (report,) = self.train(session, [batch])
            assert report.step == session.step == number
            assert report.reduction in {"mean", "sum"}
            assert report.denominator > 0
            assert report.mean_loss > 0
            assert report.learning_rate == self.learning_rate
            assert report.grad_norm is None or report.grad_norm > 0
            assert report.examples == self.batch_size
            assert report.examples_per_second

    def test_the_loss_decreases_on_what_can_be_learned(self) -> None:
        """Training trains."""
        self.need("can_train")
        losses = [report.mean_loss for report in self.train(self.open(), self.batches(self.learning_steps))]
        quarter = max(1, len(losses) // 4)
        assert sum(losses[-quarter:]) < self.learned_share * sum(losses[:quarter])

    def test_a_learning_rate_of_zero_changes_nothing(self) -> None:
        """The rate is the caller's, at each step."""
        self.need("can_train")
        self.need("can_predict")
        session = self.open()
        before = self.ask(session, self.inputs())
        take_step(session, self.batches(1)[0], 0.0, timeout_s=self.timeout_s)
        assert self.ask(session, self.inputs()) == before

    def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(self) -> None:
        """Whatever is random follows from the seed."""
        self.need("can_train")
        self.need("is_deterministic")
        batches = self.batches(4)
        first, again, other = (
            [(report.loss, report.grad_norm) for report in self.train(self.open(seed=seed), batches)]
            for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other

    def test_a_malformed_batch_is_refused_before_anything_is_sent(self) -> None:
        """A remote trainer would retry it for minutes."""
        self.need("can_train")
        session = self.open()
        batch = self.batches(1)[0]
        with pytest.raises(AdapterError):
            session.forward_backward(Batch(batch.ids, batch.inputs, batch.labels[:-1])).result(self.timeout_s)
        with pytest.raises(AdapterError):
            session.forward_backward(Batch([], batch.inputs[:0], [])).result(self.timeout_s)
        assert session.step == 0

    # Saving and loading

    def test_a_loaded_session_predicts_like_the_saved_one(self) -> None:
        """With and without its optimizer."""
        self.need("can_predict")
        session = self.open()
        if self.adapter.capabilities.can_train:
            self.train(session, self.batches(5))
        for with_optimizer in (True, False):
            folder = self.saved(session, f"optimizer-{with_optimizer}", with_optimizer=with_optimizer)
            loaded = self.load(folder)
            assert loaded.step == session.step
            assert self.ask(loaded, self.inputs()) == self.ask(session, self.inputs())

    def test_training_resumed_at_any_step_equals_undisturbed_training(self) -> None:
        """Save after each step, load each state, train on: the same numbers to the last bit."""
        self.need("can_resume")
        self.need("is_deterministic")
        batches = self.batches(6)
        session = self.open()
        reports, folders = [], []
        for batch in batches:
            folders.append(self.saved(session, str(session.step)))
            reports += self.train(session, [batch])
        undisturbed = [(report.step, report.loss, report.grad_norm) for report in reports]
        last = self.saved(session, "last")
        for step, folder in enumerate(folders):
            resumed = self.load(folder, self.options)
            again = [(report.step, report.loss, report.grad_norm) for report in self.train(resumed, batches[step:])]
            assert again == undisturbed[step:]
            assert _files(self.saved(resumed, f"resumed-{step}")) == _files(last)

    def test_a_session_saved_without_optimizer_does_not_train_on(self) -> None:
        """It would silently start with an empty one."""
        self.need("can_train")
        session = self.open()
        self.train(session, self.batches(2))
        loaded = self.load(self.saved(session, "weights", with_optimizer=False))
        with pytest.raises(AdapterError):
            self.train(loaded, self.batches(1))

    def test_loading_with_other_options_is_refused(self) -> None:
        """A checkpoint of another experiment is no start for this one."""
        folder = self.saved(self.open(), "first")
        with pytest.raises(DefinitionError) as refused:
            self.load(folder, {**self.options, **self.changed_options})
        assert all(name in str(refused.value) for name in self.changed_options)

    def test_a_folder_without_a_state_or_with_a_cut_one_is_refused(self) -> None:
        """Named, not a traceback of a parser."""
        empty = self._folder / "empty"
        empty.mkdir()
        with pytest.raises(AdapterError):
            self.load(empty)
        folder = self.saved(self.open(), "cut")
        for file in folder.iterdir():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.raises(AdapterError):
            self.load(folder)

    # Predictions

    def test_there_is_one_prediction_for_each_input_in_order(self) -> None:
        """Also for one, and for none."""
        self.need("can_predict")
        session = self.open()
        inputs = self.inputs()
        answers = self.ask(session, inputs)
        assert len(answers) == len(inputs)
        one_by_one = [self.ask(session, inputs[i : i + 1]) for i in range(len(inputs))]
        assert [answer.value for answer in answers] == [only.value for (only,) in one_by_one]
        assert [answer.value for answer in self.ask(session, inputs[::-1])] == [a.value for a in answers[::-1]]
        assert self.ask(session, inputs[:0]) == []
        assert all(answer.confidence is None or 0 <= answer.confidence <= 1 for answer in answers)

    def test_predicting_changes_nothing(self) -> None:
        """Neither the answers nor the training after it."""
        self.need("can_predict")
        self.need("can_train")
        self.need("is_deterministic")
        batches = self.batches(3)
        silent, asked = self.open(), self.open()
        for batch in batches:
            expected = self.train(silent, [batch])[0].loss
            assert self.ask(asked, self.inputs()) == self.ask(asked, self.inputs())
            assert self.train(asked, [batch])[0].loss == expected

    # The end, and secrets

    def test_a_session_is_closed_twice_and_then_refuses_work(self) -> None:
        """Whoever closes need not know who closed before."""
        session = self.open()
        session.close()
        session.close()
        with pytest.raises(AdapterError):
            self.ask(session, self.inputs())

    def test_no_option_is_a_credential(self) -> None:
        """Options stand on the log for ever."""
        names = list(_option_names(self.adapter.options.model_json_schema()))
        assert [name for name in names if any(word in name.lower() for word in SECRET_WORDS)] == []

    def test_no_credential_leaves_the_adapter(self) -> None:
        """Not by what it describes, reports, predicts, saves, prints or raises."""
        if not self.credentials:
            pytest.skip("the adapter needs no credentials")
        session = self.open()
        seen = [repr(self.adapter), repr(session), repr(session.describe())]
        seen.append(json.dumps(self.adapter.options.model_json_schema()))
        if self.adapter.capabilities.can_train:
            seen += map(repr, self.train(session, self.batches(1)))
        if self.adapter.capabilities.can_predict:
            seen += map(repr, self.ask(session, self.inputs(2)))
        seen += [content.decode("latin-1") for content in _files(self.saved(session, "secret")).values()]
        with pytest.raises(DefinitionError) as refused:
            self.open(self.bad_options)
        seen.append(str(refused.value))
        with pytest.raises(AdapterError) as missing:
            self.load(self._folder)
        seen.append(str(missing.value))
        assert [text[:200] for text in seen if any(value in text for value in self.credentials.values())] == []


def _files(folder: Path) -> dict[str, bytes]:
    """Content of each file of a folder, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _option_names(schema: Any) -> Iterator[str]:
    """Names of all options, nested ones too."""
    if isinstance(schema, Mapping):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from _option_names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _option_names(value)
