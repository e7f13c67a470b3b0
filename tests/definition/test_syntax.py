"""Source files are parsed from any thread, though the interpreter's parser minds threads."""

import ast
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from crucible.definition import syntax
from crucible.definition.syntax import TRIES_MAX, syntax_tree


@pytest.fixture
def interpreter(monkeypatch):
    """Puts another parser in the place of the interpreter's, for ``syntax_tree`` alone: pytest parses as well."""
    return lambda parse: monkeypatch.setattr(syntax, "ast", SimpleNamespace(parse=parse))


def test_two_threads_never_parse_at_once(interpreter):
    parse, inside, most = ast.parse, [], []

    def watched(source):
        inside.append(threading.get_ident())
        most.append(len(inside))
        time.sleep(0.005)
        inside.pop()
        return parse(source)

    interpreter(watched)
    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(syntax_tree, [b"x = 1"] * 12))
    assert max(most) == 1
    assert {ast.dump(tree) for tree in trees} == {ast.dump(parse("x = 1"))}


@pytest.mark.parametrize("alarms", [1, TRIES_MAX - 1])
def test_a_false_alarm_of_the_interpreter_is_tried_again(interpreter, alarms):
    parse, said = ast.parse, iter([True] * alarms)

    def disturbed(source):
        if next(said, False):
            raise SystemError("AST constructor recursion depth mismatch (before=33, after=29)")
        return parse(source)

    interpreter(disturbed)
    assert ast.dump(syntax_tree(b"x = 1")) == ast.dump(parse("x = 1"))


def test_an_alarm_that_does_not_end_is_raised(interpreter):
    def broken(_):
        raise SystemError("really")

    interpreter(broken)
    with pytest.raises(SystemError, match="really"):
        syntax_tree(b"x = 1")


@pytest.mark.parametrize("source", [b"x =", b"x = '\0"])
def test_what_is_no_python_is_refused(source):
    with pytest.raises((SyntaxError, ValueError)):
        syntax_tree(source)
