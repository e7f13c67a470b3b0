import pytest

from tests.docs.shown_output import first_difference


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\nb\n", "a\nb"),
        ("", "\n"),
        ("a ... c", "a b c"),
        ("a...", "abc"),
        ("a ...", "a"),
        ("...", ""),
        ("...\nlast", "first\nsecond\nlast"),
        ("first\n...\nlast", "first\nlast"),
        ("a  b", "a      b"),
        ("digest ..., code ...; ok", "digest 12ab, code 34; ok"),
    ],
)
def test_what_is_shown_agrees_with_what_is_printed(shown, printed):
    assert first_difference(shown, printed) is None


@pytest.mark.parametrize(
    ("shown", "printed", "difference"),
    [
        ("a", "b", "a"),
        ("a", "a\nmore", "(the end; more was printed)"),
        ("a\nb", "a", "b"),
        ("", "something", "(the end; more was printed)"),
        ("a ... c", "a b d", "a ... c"),
        ("aba...ba", "aba", "aba...ba"),
        ("...\nlast", "last\nbut one", "(the end; more was printed)"),
        ("first\n...\nmiddle\n...", "first\nsecond", "middle"),
    ],
)
def test_the_first_line_that_is_not_there_is_named(shown, printed, difference):
    assert first_difference(shown, printed) == difference
