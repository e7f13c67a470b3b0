import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible.definition.reference import Reference, parse_reference
from crucible.errors import UsageError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("digits_lora#3/r16-lr3e-3.2", {"experiment": "digits_lora", "number": 3, "label": "r16-lr3e-3", "repeat": 2}),
        ("digits_lora#3/r16-lr3e-3", {"experiment": "digits_lora", "number": 3, "label": "r16-lr3e-3"}),
        ("digits_lora#3", {"experiment": "digits_lora", "number": 3}),
        ("digits_lora", {"experiment": "digits_lora"}),
        ("v1.5", {"experiment": "v1.5"}),
        ("@last", {"special": "last"}),
        ("@best", {"special": "best"}),
        ("digits_lora@best", {"experiment": "digits_lora", "special": "best"}),
        ("digits_lora#3@last", {"experiment": "digits_lora", "number": 3, "special": "last"}),
        ("digits_lora#3/", {"experiment": "digits_lora", "number": 3}),
        ("digits_lora#", {"experiment": "digits_lora"}),
        ("a#1/base.", {"experiment": "a", "number": 1, "label": "base"}),
        ("019aae21-28fb", {"experiment": "019aae21-28fb", "id_prefix": "019aae21-28fb"}),
        ("bad", {"experiment": "bad", "id_prefix": "bad"}),
    ],
)
def test_a_reference_is_taken_apart(text, parts):
    assert parse_reference(text) == Reference(text=text, **parts)


def test_space_around_a_reference_does_not_count():
    assert parse_reference(" mine#1 ") == parse_reference("mine#1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#3",
        "a b",
        "a#0",
        "a#x",
        "a/b",
        "a#1/b.0",
        "a#1/b@best",
        "@worst",
        "#3@last",
        "a#1/b.2.3",
        "a@",
        "-a",
        "a#1/b.x",
    ],
)
def test_what_is_no_reference_is_refused_with_what_to_write(text):
    with pytest.raises(UsageError, match="is no reference: write NAME"):
        parse_reference(text)


def test_only_a_repeat_or_a_special_names_one_run():
    assert parse_reference("a#1/b.1").is_run
    assert parse_reference("@last").is_run
    assert not parse_reference("a#1/b").is_run


def test_the_prefix_is_what_references_begin_with():
    assert parse_reference("a#1/b").prefix == "a#1/b"
    assert parse_reference("a#1@best").prefix == "a#1"
    assert parse_reference("@best").prefix is None


NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
LABELS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)


@given(NAMES, st.integers(1, 10**6), LABELS, st.integers(1, 10**6))
def test_every_reference_of_a_run_can_be_read_back(name, number, label, repeat):
    found = parse_reference(f"{name}#{number}/{label}.{repeat}")
    assert (found.experiment, found.number, found.label, found.repeat) == (name, number, label, repeat)
