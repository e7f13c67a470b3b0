import math
import random
from pathlib import Path

import numpy as np
import pytest

import crucible as cr
from crucible.canonical import digest_of
from crucible.errors import DatasetError, StageError, UsageError
from crucible.testing.ports import VirtualClock


def fit(run, *, rate, total=6):
    """A small training loop as a user writes it."""
    weight, start = 0.0, 0
    if checkpoint := run.resume():
        weight, start = float((checkpoint.path / "weight.txt").read_text()), checkpoint.step
    for step, x in run.steps(iter(range(1, total + 1)), start=start):
        weight += rate * x
        run.log({"weight": weight}, step=step)
        if run.checkpoint_due:
            with run.checkpoint(step) as folder:
                (folder / "weight.txt").write_text(repr(weight))
    run.artifact("model", repr(weight).encode(), kind="model")
    return {"final": weight}


def test_a_stage_is_tested_as_a_plain_function_call(tmp_path):
    run = cr.testing.run(tmp_path, metrics={"final": cr.metric(unit="nat")})
    returned = fit(run, rate=0.5)
    assert run.series("weight") == [0.5, 1.5, 3.0, 5.0, 7.5, 10.5]
    assert [point.step for point in run.kept.points] == [1, 2, 3, 4, 5, 6]
    (metric,) = run.result(returned)
    assert (metric["name"], metric["value"], metric["unit"], metric["origin"]) == ("final", 10.5, "nat", "measured")


def test_a_stage_that_checkpoints_saves_at_its_last_step(tmp_path):
    run = cr.testing.run(tmp_path)
    fit(run, rate=1.0)
    assert run.saved.checkpoints == [6]


def test_a_checkpoint_is_due_once_its_interval_has_passed(tmp_path):
    clock = VirtualClock()
    run = cr.testing.run(tmp_path, checkpoint_every_s=2, clock=clock)
    due = []
    for step, _ in run.steps(range(7)):
        clock.advance(1)
        if run.checkpoint_due:
            due.append(step)
            with run.checkpoint(step):
                pass
    assert due == [2, 4, 6, 7]


def test_the_next_attempt_goes_on_from_the_newest_checkpoint(tmp_path):
    first = cr.testing.run(tmp_path, checkpoint_every_s=0)
    for step, _ in first.steps(range(10)):
        with first.checkpoint(step) as folder:
            (folder / "weight.txt").write_text(str(step))
        if step == 4:
            break
    second = cr.testing.run(tmp_path)
    assert second.attempt == 2
    checkpoint = second.resume()
    assert (checkpoint.step, (checkpoint.path / "weight.txt").read_text()) == (4, "4")
    assert second.resume() is checkpoint
    assert [step for step, _ in second.steps(range(10), start=checkpoint.step)] == [5, 6, 7, 8, 9, 10]


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path):
    run = cr.testing.run(tmp_path)
    for step in (1, 2):
        with run.checkpoint(step) as folder:
            (folder / "state").write_text(f"state {step}")
    newest = next(path for path in (tmp_path / "blobs").rglob("*") if path.is_file() and path.read_text() == "state 2")
    newest.chmod(0o644)
    newest.write_text("state X")
    assert cr.testing.run(tmp_path).resume().step == 1


def test_a_first_attempt_has_nothing_to_resume(tmp_path):
    assert cr.testing.run(tmp_path).resume() is None


def test_a_checkpoints_digest_is_that_of_its_list_of_files(tmp_path):
    run = cr.testing.run(tmp_path)
    with run.checkpoint(3) as folder:
        (folder / "b").write_bytes(b"")
        (folder / "a").mkdir()
        (folder / "a" / "x").write_bytes(b"1")
    (earlier,) = cr.testing.run(tmp_path)._services.earlier_checkpoints()
    one = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert earlier.digest == digest_of([["a/x", 1, one], ["b", 0, empty]])


def test_steps_count_from_one_and_discard_what_is_done(tmp_path):
    run = cr.testing.run(tmp_path)
    assert list(run.steps("abcd", start=2)) == [(3, "c"), (4, "d")]
    assert list(run.steps(iter("ab"), start=5)) == []
    with pytest.raises(UsageError, match="start=-1"):
        next(run.steps("ab", start=-1))


def test_the_last_step_of_a_generator_is_known_to_be_the_last(tmp_path):
    run = cr.testing.run(tmp_path)
    assert [run.checkpoint_due for _ in run.steps(x for x in "abc")] == [False, False, True]


def test_with_a_total_no_item_is_made_before_its_turn(tmp_path):
    run = cr.testing.run(tmp_path)
    made, done = [], []

    def items():
        for number in range(3):
            made.append(number)
            yield number

    for _, item in run.steps(items(), total=3):
        assert made == [*done, item]
        done.append(item)
    assert done == [0, 1, 2]


def test_an_error_of_an_item_that_is_read_ahead_comes_when_it_is_its_turn(tmp_path):
    run = cr.testing.run(tmp_path)
    steps = run.steps(1 // (2 - n) for n in range(5))
    assert [next(steps)[0], next(steps)[0]] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(steps)


def test_a_smoke_test_stops_after_its_steps_and_saves_at_the_last_one(tmp_path):
    run = cr.testing.run(tmp_path, steps_max=3)
    assert run.is_smoke
    assert [(step, run.checkpoint_due) for step, _ in run.steps(iter(range(100)))] == [
        (1, False),
        (2, False),
        (3, True),
    ]


def test_a_point_without_a_step_stands_at_the_step_being_done(tmp_path):
    run = cr.testing.run(tmp_path)
    run.log({"before": 1})
    for _ in run.steps(range(2)):
        run.log({"x": math.nan})
    assert [(point.name, point.step) for point in run.kept.points] == [("before", None), ("x", 1), ("x", 2)]


def test_named_streams_begin_anew_in_each_attempt_and_differ_by_name_step_and_seed(tmp_path):
    numbers = {
        key: tuple(cr.testing.run(tmp_path, seed=seed).rng(name, step=step).random(3))
        for key, (seed, name, step) in {
            "first": (1, "order", None),
            "again": (1, "order", None),
            "name": (1, "drop", None),
            "step": (1, "order", 1),
            "seed": (2, "order", None),
        }.items()
    }
    assert numbers["first"] == numbers["again"]
    assert len(set(numbers.values())) == 4


def test_seed_everything_fixes_the_global_generators(tmp_path):
    run = cr.testing.run(tmp_path, seed=5)
    drawn = []
    for _ in range(2):
        assert run.seed_everything() == 5
        drawn.append((random.random(), np.random.random()))  # noqa: NPY002 - the global generator is what is seeded
    assert drawn[0] == drawn[1]


def test_an_items_split_is_that_of_the_dataset_that_was_read(tmp_path):
    run = cr.testing.run(tmp_path, metrics={"test/accuracy": cr.mean_score("test")})
    digits = run.dataset("digits")
    item = digits.split("val")[0]
    run.predict(item.id, score=1.0)
    assert run.kept.predictions[0].split == "val"
    assert run.saved.datasets == {"digits": digits.digest}


def test_without_a_dataset_the_only_declared_split_is_meant(tmp_path):
    run = cr.testing.run(tmp_path, metrics={"test/accuracy": cr.mean_score("test")})
    for number, score in enumerate([1.0, 0.0, 0.0, None]):
        run.predict(number, score=score)
    (metric,) = run.result()
    assert (metric["value"], metric["items"], metric["definition"]) == (1 / 3, 3, "mean_score(test)")


def test_a_prediction_whose_split_can_not_be_told_asks_for_it(tmp_path):
    run = cr.testing.run(tmp_path)
    with pytest.raises(UsageError, match="split="):
        run.predict("a", score=1.0)


def test_an_item_can_not_count_twice_in_a_mean(tmp_path):
    run = cr.testing.run(tmp_path)
    run.predict("a", split="test", score=1.0)
    with pytest.raises(UsageError, match="predicted before"):
        run.predict("a", split="test", score=1.0)


def test_scores_before_the_checkpoint_count_in_the_mean_of_the_attempt_that_goes_on(tmp_path):
    metrics = {"accuracy": cr.mean_score("test")}
    first = cr.testing.run(tmp_path, metrics=metrics)
    first.predict("a", score=1.0)
    with first.checkpoint(1):
        pass
    first.predict("b", score=0.0)
    second = cr.testing.run(tmp_path, metrics=metrics)
    second.resume()
    second.predict("b", score=1.0)
    second.predict("c", score=0.5)
    (metric,) = second.result()
    assert (metric["value"], metric["items"]) == (2.5 / 3, 3)


def test_a_mean_over_no_item_is_not_measured(tmp_path):
    (metric,) = cr.testing.run(tmp_path, metrics={"accuracy": cr.mean_score("test")}).result()
    assert (metric["value"], metric["items"]) == (None, 0)


def test_a_declared_metric_that_was_not_returned_is_null(tmp_path):
    (metric,) = cr.testing.run(tmp_path, metrics={"loss": cr.metric()}).result({})
    assert metric["value"] is None


def test_a_returned_metric_that_is_not_declared_is_of_the_environment(tmp_path):
    run = cr.testing.run(tmp_path, metrics={"loss": cr.metric()})
    run.summary({"loss": 1, "extra": 2})
    loss, extra = run.result({"loss": 3})
    assert (loss["value"], loss["kind"]) == (3.0, "reproducible")
    assert (extra["value"], extra["kind"]) == (2.0, "environment")


@pytest.mark.parametrize("value", [1.5, -0.1, math.nan])
def test_a_value_outside_its_declared_range_is_refused(tmp_path, value):
    run = cr.testing.run(tmp_path, metrics={"accuracy": cr.metric(range=(0, 1))})
    with pytest.raises(StageError, match="outside its declared range 0 to 1"):
        run.result({"accuracy": value})


def test_every_result_that_is_no_number_is_named(tmp_path):
    run = cr.testing.run(tmp_path, metrics={"a": cr.metric()})
    with pytest.raises(StageError, match=r"'a' is 'high'.*'b' is \[1\]"):
        run.result({"a": "high", "b": [1]})


def test_a_stage_returns_a_mapping_or_nothing(tmp_path):
    with pytest.raises(UsageError, match="returned float"):
        cr.testing.run(tmp_path).result(0.5)


def test_inputs_are_copies_that_a_stage_may_change(tmp_path):
    run = cr.testing.run(tmp_path, inputs={"model": b"weights"})
    artifact = run.input("model")
    artifact.path.write_bytes(b"changed")
    assert cr.testing.run(tmp_path, inputs={"model": b"weights"}).input("model").path.read_bytes() == b"weights"
    with pytest.raises(UsageError, match="its inputs are model"):
        run.input("modle")


def test_an_artifact_can_be_bytes_a_file_or_a_folder(tmp_path):
    run = cr.testing.run(tmp_path)
    folder = tmp_path / "made"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x").write_text("x")
    (folder / "y").write_text("y")
    saved = [
        run.artifact("bytes", b"data", kind="raw"),
        run.artifact("file", folder / "y"),
        run.artifact("all", folder),
    ]
    assert [[file["path"] for file in artifact.files] for artifact in saved] == [["bytes"], ["y"], ["sub/x", "y"]]
    assert Path(saved[0]).read_bytes() == b"data"
    assert run.saved.artifacts["bytes"][0] == "raw"


def test_an_artifact_saved_again_leaves_what_the_first_one_has_become_as_it_was(tmp_path):
    run = cr.testing.run(tmp_path)
    given_away = tmp_path / "blob"
    given_away.hardlink_to(run.artifact("model", b"first").path)
    assert Path(run.artifact("model", b"second")).read_bytes() == b"second"
    assert given_away.read_bytes() == b"first"


@pytest.mark.parametrize("name", ["../up", "/root", "", ".", "./"])
def test_an_artifacts_name_can_not_lead_out_of_its_folder(tmp_path, name):
    with pytest.raises(UsageError, match="no path inside a folder"):
        cr.testing.run(tmp_path).artifact(name, b"")


def test_spans_know_how_long_they_took(tmp_path):
    clock = VirtualClock()
    run = cr.testing.run(tmp_path, clock=clock)
    with run.span("load", rows=3):
        clock.advance(0.25)
    (span,) = run.kept.spans
    assert (span.name, span.end_us - span.start_us, span.attributes) == ("load", 250_000, {"rows": 3})


def test_a_dataset_that_is_not_known_is_an_error_that_names_those_that_are(tmp_path):
    with pytest.raises(DatasetError, match="digits"):
        cr.testing.run(tmp_path).dataset("digit")


def test_outside_a_stage_there_is_no_current_run():
    with pytest.raises(UsageError, match="start_run"):
        cr.current_run()
