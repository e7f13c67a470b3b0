import pytest

from crucible.plural import plural


@pytest.mark.parametrize(
    ("count", "words"), [(0, "runs were"), (1, "run was"), (1.0, "run was"), (2, "runs were"), (None, "runs were")]
)
def test_one_is_told_apart_from_every_other_number(count, words):
    assert plural(count, "run was", "runs were") == words


def test_most_words_take_an_s():
    assert [f"{count} {plural(count, 'run')}" for count in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
