"""The local adapter trains for real: on its base, from its labels, and as the digits allow."""

import concurrent.futures
import dataclasses
import math

import numpy as np
import pytest

from crucible import datasets
from crucible.adapters import Batch, get_adapter, learning_rate_at, take_step
from crucible.adapters.local import STATE_FILE, LocalAdapter
from crucible.adapters.tensors import unpack
from crucible.blobs import FolderBlobs
from crucible.datasets import Dataset, Split
from crucible.errors import AdapterError, DefinitionError

PEAK = 3e-3


def digits():
    return datasets.load("digits_rotated")


def batches(dataset, epochs, batch_size=64, seed=0):
    split, rng = dataset.split("train"), np.random.default_rng(seed)
    inputs = split.array()
    for _ in range(epochs):
        order = rng.permutation(len(split))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield Batch([split.ids[i] for i in chosen], inputs[chosen], [split.labels[i] for i in chosen])


def train(session, examples, rate=PEAK):
    return [take_step(session, batch, rate) for batch in examples]


def accuracy(session, split):
    answers = session.predict(split.array()).result()
    return sum(answer.value == label for answer, label in zip(answers, split.labels, strict=True)) / len(split)


def test_it_learns_to_read_turned_digits_which_its_base_can_not(local, open_request):
    session = local.open(open_request(rank=8, alpha=32.0))
    test = digits().split("test")
    assert accuracy(session, datasets.load("digits").split("test")) > 0.94
    assert accuracy(session, test) < 0.2
    train(session, batches(digits(), epochs=30))
    assert accuracy(session, test) > 0.94


def test_a_higher_rank_learns_more_than_rank_one(local, open_request):
    found = {}
    for rank in (1, 16):
        session = local.open(open_request(rank=rank, alpha=32.0))
        train(session, batches(digits(), epochs=15))
        found[rank] = accuracy(session, digits().split("test"))
    assert found[16] > found[1] + 0.03


def test_from_shuffled_labels_it_learns_nothing_about_the_test_split(local, open_request):
    dataset = digits()
    split = dataset.split("train")
    shuffled = [split.labels[i] for i in np.random.default_rng(5).permutation(len(split))]
    wrong = Dataset("shuffled", [Split("train", split.ids, split.inputs, shuffled)], {})
    session = local.open(open_request(rank=8, alpha=32.0))
    train(session, batches(wrong, epochs=30))
    assert accuracy(session, dataset.split("test")) <= 0.25


def test_training_leaves_the_base_network_as_it_is(local, open_request):
    request = open_request()
    session = local.open(request)
    digest = session.pretrained.digest
    before = [array.tobytes() for array in (*session.pretrained.base.weights, *session.pretrained.base.biases)]
    train(session, batches(digits(), epochs=2))
    assert before == [array.tobytes() for array in (*session.pretrained.base.weights, *session.pretrained.base.biases)]
    assert not any(array.flags.writeable for array in session.pretrained.base.weights)
    assert local.open(request).pretrained.digest == digest
    assert request.blobs.get_bytes(digest), "the blob of that digest still has that digest"


def test_training_resumed_at_every_checkpoint_equals_an_undisturbed_one(local, open_request, tmp_path):
    request = open_request(rank=4, dropout=0.1, weight_decay=0.01)
    examples = list(batches(digits(), epochs=2))
    total = len(examples)
    session, losses = local.open(request), []
    for step, batch in enumerate(examples, start=1):
        losses.append(take_step(session, batch, learning_rate_at(step, total, PEAK, "cosine")).loss)
        if step % 5 == 0:
            (tmp_path / str(step)).mkdir()
            session.save(tmp_path / str(step))
    (tmp_path / "end").mkdir()
    session.save(tmp_path / "end")
    for start in range(5, total, 5):
        resumed = local.load(request, tmp_path / str(start))
        again = [
            take_step(resumed, batch, learning_rate_at(step, total, PEAK, "cosine")).loss
            for step, batch in enumerate(examples[start:], start=start + 1)
        ]
        assert again == losses[start:]
        resumed.save(tmp_path / str(start))
        assert (tmp_path / str(start) / STATE_FILE).read_bytes() == (tmp_path / "end" / STATE_FILE).read_bytes()


def test_a_diverging_run_keeps_what_was_measured(local, open_request, tmp_path):
    session = local.open(open_request())
    reports = train(session, batches(digits(), epochs=1), rate=1e200)
    assert reports[0].loss < 100
    assert not math.isfinite(reports[-1].loss)
    assert not math.isfinite(reports[-1].grad_norm)
    answers = session.predict(digits().split("val").array()).result()
    assert {answer.value for answer in answers} == {None}
    session.save(tmp_path)
    arrays, _ = unpack((tmp_path / STATE_FILE).read_bytes(), "adapter")
    assert np.isnan(arrays["00.down"]).any()


def test_the_base_is_trained_once_per_log_by_whoever_is_first(local, open_request, monkeypatch):
    trained = []
    original = LocalAdapter.open.__globals__["pretrained"].__globals__["train_base"]

    def counted(*args):
        trained.append(args)
        return original(*args)

    monkeypatch.setitem(original.__globals__, "train_base", counted)
    request = open_request(base={"epochs": 2})
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: local.open(request), range(8)))
    assert len(trained) == 1
    assert len({session.pretrained.digest for session in sessions}) == 1


def test_two_logs_train_the_same_base_byte_by_byte(local, open_request, tmp_path):
    request = open_request(base={"epochs": 2})
    elsewhere = dataclasses.replace(
        request, blobs=FolderBlobs(tmp_path / "elsewhere"), kept_folder=tmp_path / "elsewhere-kept"
    )
    first, second = local.open(request), local.open(elsewhere)
    assert first.pretrained.digest == second.pretrained.digest


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"epochs": 3}, {"hidden": [128]}, {"learning_rate": 1e-2}, {"dataset": "digits_rotated"}]
)
def test_each_option_of_the_base_makes_it_another_one(local, open_request, change):
    first = local.open(open_request(base={"epochs": 2}))
    other = local.open(open_request(base={"epochs": 2, **change}))
    assert first.pretrained.digest != other.pretrained.digest


def test_an_adapter_of_another_base_is_refused(local, open_request, tmp_path):
    session = local.open(open_request(base={"epochs": 2}))
    session.save(tmp_path)
    path = tmp_path / STATE_FILE
    content = path.read_bytes()
    path.write_bytes(content.replace(session.pretrained.digest.encode(), b"0" * 64))
    with pytest.raises(AdapterError, match="was trained on the base network 0000"):
        local.load(open_request(), tmp_path)


def test_the_saved_seed_holds_when_a_session_is_loaded_for_another_run(local, open_request, tmp_path):
    examples = list(batches(digits(), epochs=1))
    session = local.open(open_request(seed=1, dropout=0.3))
    train(session, examples[:2])
    session.save(tmp_path)
    expected = take_step(session, examples[2], PEAK).loss
    assert take_step(local.load(open_request(seed=2), tmp_path), examples[2], PEAK).loss == expected


def test_a_save_between_the_halves_of_a_step_is_refused(local, open_request, tmp_path):
    session = local.open(open_request())
    session.forward_backward(next(batches(digits(), epochs=1)))
    with pytest.raises(AdapterError, match="save between steps"):
        session.save(tmp_path)


def test_a_step_without_a_gradient_is_refused(local, open_request):
    with pytest.raises(AdapterError, match="call forward_backward before optimizer_step"):
        local.open(open_request()).optimizer_step(PEAK)


def test_a_label_that_the_base_does_not_know_is_named(local, open_request):
    batch = next(batches(digits(), epochs=1))
    with pytest.raises(AdapterError, match="no class 'seven'"):
        local.open(open_request()).forward_backward(dataclasses.replace(batch, labels=["seven", *batch.labels[1:]]))


@pytest.mark.parametrize("inputs", [np.zeros((3, 63)), np.zeros(64), ["a", "b"], [[1.0] * 64, [2.0]], None])
def test_inputs_that_do_not_fit_are_named(local, open_request, inputs):
    with pytest.raises(AdapterError, match="inputs must be rows of 64 numbers"):
        local.open(open_request()).predict(inputs)


def test_every_wrong_option_is_named_with_the_nearest_right_one(local, open_request):
    wrong = {"rnak": 8, "alpha": "16", "dropout": 1.5, "base": {"hidden": [0], "epoch": 3}}
    with pytest.raises(DefinitionError) as refused:
        local.open(open_request(**wrong))
    found = {problem.path: problem.nearest for problem in refused.value.problems}
    assert found == {
        "adapter local: rnak": "rank",
        "adapter local: alpha": None,
        "adapter local: dropout": None,
        "adapter local: base.hidden": None,
        "adapter local: base.epoch": "epochs",
    }


def test_dropout_changes_training_and_not_prediction(local, open_request):
    examples = list(batches(digits(), epochs=1))[:3]
    plain, dropped = (local.open(open_request(dropout=share)) for share in (0.0, 0.5))
    inputs = digits().split("val").array()
    assert plain.predict(inputs).result() == dropped.predict(inputs).result()
    train(plain, examples)
    assert train(dropped, examples) != train(plain, examples)
    assert dropped.predict(inputs).result() == dropped.predict(inputs).result()


def test_sessions_leave_the_number_of_threads_as_they_found_it(local, open_request):
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def threads():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = (local.open(open_request()) for _ in range(2))
        assert set(threads()) == {1}
        first.close()
        first.close()
        assert set(threads()) == {1}
        second.close()
        assert threads() == before


def test_the_registry_gives_the_local_adapter_by_name():
    assert isinstance(get_adapter("local"), LocalAdapter)
