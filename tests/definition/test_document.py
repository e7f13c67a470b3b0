import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible.definition.document import DOCUMENT_BYTES_MAX, DOCUMENT_NODES_MAX, read_document
from crucible.definition.problems import Problems


def read(text):
    problems = Problems()
    document = read_document(text, problems)
    return document, problems.errors


def value(text):
    document, errors = read(text)
    assert errors == []
    return document.value


def test_scalars_are_those_of_yaml_1_2():
    text = "{a: 1e-3, b: no, c: on, d: 012, e: 0x10, f: ~, g: true, h: .5, i: '1', j: 1:30, k: 1.5e+3}"
    assert value(text) == {
        "a": 0.001, "b": "no", "c": "on", "d": 12, "e": 16, "f": None, "g": True, "h": 0.5, "i": "1", "j": "1:30", "k": 1500.0,
    }  # fmt: skip


def test_json_is_read_as_well():
    assert value('{"a": [1, 2.5, null, true], "b": {"c": "d"}}') == {"a": [1, 2.5, None, True], "b": {"c": "d"}}


def test_every_part_has_its_line():
    document, _ = read("a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "y"): 4,
        ("b", 1, "z"): 5,
    }


def test_anchors_and_merges_work():
    assert value("base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nagain: *b\n") == {
        "base": {"x": 1, "y": 2},
        "other": {"x": 1, "y": 3},
        "again": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 2024-01-01", "is read as a timestamp: put it in quotes"),
        ("a: !!binary aGk=", "is read as a binary: put it in quotes"),
        ("a: !python/object x", "put it in quotes"),
        ("1: a", "has a key that is no text"),
        ("[x, y]: a", "has a key that is no text"),
        ("a: 1\na: 2", "stands twice; the second time in line 2"),
        ("<<: 3\na: 1", "merges something that is no mapping"),
        ("", "is empty"),
        ("# only a comment", "is empty"),
        ("a: [1, 2", "is not YAML"),
        ("a: b: c", "is not YAML"),
        ("a: *nothing", "is not YAML"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("\x00", "is not YAML"),
        ("\tx: 1", "is not YAML"),
    ],
)
def test_what_is_not_plain_yaml_is_a_problem(text, message):
    _, errors = read(text)
    assert len(errors) == 1
    assert message in errors[0].message


def test_a_syntax_error_names_its_line():
    _, (problem,) = read("a: 1\nb: 2\nc: [1, 2\n")
    assert problem.line == 4


def test_a_file_that_grows_through_aliases_is_refused():
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    _, errors = read("l0: &l0 [x]\n" + levels)
    assert [problem.expected for problem in errors] == [f"at most {DOCUMENT_NODES_MAX:,}"]


def test_a_file_that_contains_itself_is_refused():
    _, errors = read("a: &a [*a]\n")
    assert len(errors) == 1


@pytest.mark.parametrize("depth", [60, 5_000])
def test_a_file_that_is_nested_too_deep_is_refused(depth):
    _, (problem,) = read("a: " + "[" * depth + "]" * depth)
    assert "is nested more than" in problem.message


def test_a_huge_file_is_refused():
    _, (problem,) = read("# " + "x" * DOCUMENT_BYTES_MAX)
    assert "is larger" in problem.message


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    document, errors = read(text)
    assert document is not None or errors


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_json_documents_keep_their_values(plain):
    import json

    text = json.dumps(plain)
    if any(character in text for character in ("\\ud", "\\u0085")):
        return  # surrogates are no text in YAML
    assert value(text) == plain
