import itertools

import pytest

from crucible.cli import exits
from crucible.cli.main import call
from crucible.errors import (
    DefinitionError,
    InternalError,
    LogCorruptError,
    Problem,
    RunFailedError,
    StoppedError,
    UsageError,
)


@pytest.mark.parametrize("codes", list(itertools.permutations([3, 2, 5])))
def test_of_several_outcomes_the_order_decides_and_not_the_time(codes):
    assert exits.worst(codes) == 5


def test_the_order_of_exit_codes_is_the_documented_one():
    assert exits.RANK == (130, 70, 5, 6, 2, 3, 4, 1)
    assert exits.worst([]) == 0
    assert exits.worst([0, 1, 4]) == 4


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DefinitionError([Problem("a", "wrong")]), 2),
        (UsageError("no"), 2),
        (RunFailedError("no"), 3),
        (StoppedError("no"), 4),
        (LogCorruptError("no"), 5),
        (OSError(28, "No space left on device"), 5),
        (InternalError("no"), 70),
        (ZeroDivisionError("no"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(error, code, capsys):
    assert exits.report(error) == code
    assert capsys.readouterr().err


def test_a_mistake_of_the_user_has_no_traceback_and_a_fault_of_ours_has_one(capsys):
    exits.report(UsageError("no such run"))
    assert "Traceback" not in capsys.readouterr().err
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        exits.report(error)
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "our fault" in text


def test_a_call_that_is_wrong_exits_2(capsys):
    assert call(["nonsense"]) == 2
    assert call(["run"]) == 2
    assert "nonsense" in capsys.readouterr().err
