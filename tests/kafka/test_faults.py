"""Nothing that was acknowledged is lost, doubled or out of order while nodes die; and the check would notice."""

import pytest

from crucible.log.protocol import Stored
from tests.kafka import append_faults, faults, grid_faults
from tests.kafka.conftest import missing
from tests.kafka.watched_appends import violations
from tools.kafka import NoKafkaError


@pytest.mark.slow
def test_nothing_is_lost_doubled_or_out_of_order_under_faults(capsys):
    try:
        code = append_faults.main(["--leader-kills", "3", "--restarts", "1", "--pauses", "1"])
    except NoKafkaError as error:
        missing(str(error))
    assert code == 0, capsys.readouterr().out


def stored(*names):
    return [Stored("events", 0, offset, "w", name.encode() + b" " * 9, 0) for offset, name in enumerate(names)]


def found(told, *names, seen=None):
    whole = {("events", 0): stored(*names)}
    return violations({"w": told}, whole, {("events", 0): stored(*names) if seen is None else seen})


def test_a_log_that_keeps_its_promise_has_no_violations():
    assert found([(0, 0, "w:0"), (0, 1, "w:1"), (0, 2, "x:0")], "w:0", "w:1", "x:0") == ([], 0)


def test_repeats_are_counted_and_no_violation():
    assert found([(0, 0, "w:0"), (0, 3, "w:1")], "w:0", "w:0", "w:1", "w:1", "w:0") == ([], 3)


@pytest.mark.parametrize(
    ("told", "names", "words"),
    [
        ([(0, 1, "w:1")], ["w:0"], "w:1 was acknowledged at 0:1 and is not there"),
        ([(0, 0, "w:1")], ["w:0", "w:1"], "w:1 was acknowledged at 0:0"),
        ([], ["w:1", "w:0"], "w:1 stands in"),
        ([], ["w:0", "w:2"], "w:2 stands in"),
    ],
)
def test_what_is_lost_or_out_of_order_is_found(told, names, words):
    problems, _ = found(told, *names)
    assert any(words in problem for problem in problems)


@pytest.mark.parametrize("seen", [stored("w:0"), stored("x:0", "w:1"), stored("w:0", "w:1", "w:2")])
def test_a_follower_that_saw_something_else_is_found(seen):
    problems, _ = found([], "w:0", "w:1", seen=seen)
    assert any("a follower has seen" in problem for problem in problems)


def test_one_command_asks_both_parts_and_fails_with_either(monkeypatch):
    asked = {}

    def part(name, code):
        return lambda arguments: asked.update({name: arguments}) or code

    counts = ["--leader-kills", "2", "--restarts", "1", "--pauses", "4", "--seed", "7"]
    for codes in ((1, 0), (0, 1)):
        monkeypatch.setattr(append_faults, "main", part("appends", codes[0]))
        monkeypatch.setattr(grid_faults, "main", part("grid", codes[1]))
        assert faults.main(counts) == 1
    assert asked == {"appends": counts, "grid": [*counts, "--worker-kills", "2"]}
