import enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from crucible.definition.options import read_signature


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


def stage(
    run,
    model,
    extra=None,
    *,
    rate: float,
    rank: int = 8,
    name: str = "x",
    bias: bool = True,
    schedule: str | None = None,
    mode: Literal["fast", "slow"] = "fast",
    layers: tuple[int, ...] = (64, 64),
    weights: dict[str, float] | None = None,
    depth: Annotated[int, Field(ge=1, le=4)] = 2,
    color: Color = Color.RED,
    folder: Path = Path("out"),
    sloppy: int = None,  # noqa: RUF013  people write it
    anything={},  # noqa: B006  people write it
):
    pass


OPTIONS = read_signature(stage).options


def test_keyword_only_arguments_are_options_and_positional_ones_artifacts():
    signature = read_signature(stage)
    assert signature.faults == ()
    assert {name: each.is_required for name, each in signature.inputs.items()} == {"model": True, "extra": False}
    assert [name for name, option in OPTIONS.items() if option.is_required] == ["rate"]


@pytest.mark.parametrize(
    ("name", "value", "converted"),
    [
        ("rate", 1, 1.0),
        ("rate", 1e-3, 1e-3),
        ("rank", 4, 4),
        ("name", "y", "y"),
        ("bias", False, False),
        ("schedule", None, None),
        ("schedule", "cosine", "cosine"),
        ("mode", "slow", "slow"),
        ("layers", [1, 2, 3], (1, 2, 3)),
        ("weights", {"a": 1}, {"a": 1.0}),
        ("depth", 4, 4),
        ("color", "blue", Color.BLUE),
        ("folder", "a/b", Path("a/b")),
        ("sloppy", None, None),
        ("sloppy", 3, 3),
        ("anything", {"x": [1]}, {"x": [1]}),
    ],
)
def test_a_value_that_fits_is_converted_to_the_type_of_the_argument(name, value, converted):
    assert OPTIONS[name].find_fault(value) is None
    result = OPTIONS[name].convert(value)
    assert result == converted
    assert type(result) is type(converted)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rate", "1e-3", "a number"),
        ("rate", True, "a number"),
        ("rank", 1.5, "a whole number"),
        ("rank", "4", "a whole number"),
        ("rank", True, "a whole number"),
        ("rank", None, "a whole number"),
        ("name", 3, "text"),
        ("bias", 1, "true or false"),
        ("bias", "yes", "true or false"),
        ("mode", "medium", "'fast' or 'slow'"),
        ("layers", [1, "a"], "a whole number at [1]"),
        ("layers", 3, "a list"),
        ("weights", [1], "a mapping"),
        ("depth", 9, "less than or equal to 4"),
        ("color", "green", "'red' or 'blue'"),
    ],
)
def test_a_value_of_another_type_is_a_fault_that_says_what_was_expected(name, value, expected):
    fault = OPTIONS[name].find_fault(value)
    assert fault is not None
    assert expected in fault
    with pytest.raises(ValueError, match="validation error"):
        OPTIONS[name].convert(value)


def test_defaults_become_plain_values():
    plain = {name: option.plain_default() for name, option in OPTIONS.items() if not option.is_required}
    assert plain["layers"] == [64, 64]
    assert plain["color"] == "red"
    assert plain["folder"] == "out"
    assert plain["sloppy"] is None


def test_the_schema_is_json_schema():
    schema = read_signature(stage).json_schema()
    assert schema["required"] == ["rate"]
    assert schema["properties"]["rank"] == {"type": "integer", "default": 8}
    assert schema["properties"]["depth"] == {"type": "integer", "minimum": 1, "maximum": 4, "default": 2}
    assert schema["additionalProperties"] is False


def test_a_function_that_takes_no_run_is_no_stage():
    def nothing():
        pass

    def only_options(*, rank: int = 1):
        pass

    for function in (nothing, only_options):
        assert read_signature(function).faults == ("its first argument must be the run: def stage(run, *, option=...)",)


def test_open_ended_arguments_are_no_options():
    def stage(run, *models, **options):
        pass

    assert read_signature(stage).faults == (
        "*models can't be an option: name each keyword-only argument",
        "*options can't be an option: name each keyword-only argument",
    )


def test_a_type_that_is_not_there_is_a_fault():
    def stage(run, *, rank: "Missing" = 1):  # noqa: F821
        pass

    (fault,) = read_signature(stage).faults
    assert fault == "the type of option 'rank' can't be used: name 'Missing' is not defined"


def test_a_type_that_cannot_be_checked_is_a_fault():
    class Own:
        pass

    def stage(run, *, own: Own):
        pass

    (fault,) = read_signature(stage).faults
    assert fault.startswith("the type of option 'own' can't be used: Unable to generate")


@pytest.mark.parametrize("default", [float("nan"), float("inf"), object(), 2**60])
def test_a_default_that_json_cannot_carry_is_a_fault(default):
    def stage(run, *, own=default):
        pass

    (fault,) = read_signature(stage).faults
    assert fault.startswith("the default of option 'own' can't be kept as JSON")


def test_types_written_as_text_are_found_in_the_module_of_the_function():
    def stage(run, *, color: "Color | None" = None, rank: "int" = 1):
        pass

    options = read_signature(stage).options
    assert options["color"].convert("red") is Color.RED
    assert options["rank"].find_fault("x") == "a whole number"
