"""Lines of the parts of an experiment that a Python file spells out, so that problems can name them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from crucible.definition.problems import Loc
from crucible.definition.syntax import syntax_tree


def experiment_lines(file: Path, line: int | None) -> dict[Loc, int]:
    """Return the lines of the ``Experiment(...)`` call that stands at ``line``; nothing if it can't be found."""
    try:
        tree = syntax_tree(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and line is not None and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    named = [call for call in calls if _name(call.func) == "Experiment"]
    return dict(_of_call(named[-1])) if named else {}


def _name(function: ast.expr) -> str | None:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def _of_call(call: ast.Call) -> Iterator[tuple[Loc, int]]:
    yield (), call.lineno
    if call.args:
        yield ("name",), call.args[0].lineno
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield (keyword.arg,), keyword.lineno
            yield from _inside(keyword.value, (keyword.arg,))


def _inside(node: ast.expr, loc: Loc) -> Iterator[tuple[Loc, int]]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield (*loc, key.value), key.lineno
                yield from _inside(value, (*loc, key.value))
    elif isinstance(node, ast.List | ast.Tuple):
        for index, each in enumerate(node.elts):
            yield (*loc, index), each.lineno
            yield from _inside(each, (*loc, index))
