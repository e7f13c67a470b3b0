"""The filter of ``crucible ls --where``: from what people type to SQL with parameters.

::

    params.rank = 16 and test/accuracy > .95
    status in (failed, canceled) or (tags = baseline and not repeat = 1)

A name is a column of a run, ``params.NAME`` or ``stage.option``, or a metric; a value is a number, a word, or text in
quotes. Nothing that was typed reaches the SQL text: names and values become parameters.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence

from crucible.errors import UsageError

COLUMNS = {
    "run": "r.run_id",
    "ref": "r.ref",
    "experiment": "r.experiment",
    "number": "r.number",
    "status": "r.status",
    "label": "r.label",
    "repeat": "r.repeat",
    "cell": "r.cell_index",
    "seed": "r.seed",
    "namespace": "r.namespace",
    "smoke": "r.is_smoke",
    "reason": "r.reason",
    "scope": "r.scope",
}
"""What a bare word may name, and the column it stands for."""
MISSPELT = [name for name in (*COLUMNS, "tags") if name != "scope"]
"""Names that a word near to them is taken for; not ``scope``, for many a metric is called ``score``."""
OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "~": "ILIKE"}
DEPTH_MAX = 50
MEASURED = "nullif(any_value(m.value), 'nan'::DOUBLE)"
"""A metric's value; NaN is greater than every number to DuckDB, so that a run that diverged would come out on top."""
TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w./:#-]))
    |(?P<text>'[^']*'|"[^"]*")
    |(?P<operator><=|>=|!=|<>|==|=|<|>|~)
    |(?P<mark>[(),])
    |(?P<word>[^\s()<>=!~,'"]+)
    )""",
    re.VERBOSE,
)

Parameters = list[object]


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A piece of a filter and where it began."""

    kind: str
    text: str
    at: int


def compile_where(text: str) -> tuple[str, Parameters]:
    """An SQL condition over ``runs r`` and its parameters. Raises ``UsageError`` with the place of the mistake."""
    parser = _Parser(text, _tokens(text))
    sql = parser.any_of(0)
    parser.expect_end()
    return sql, parser.parameters


def names_in(text: str) -> list[str]:
    """What a filter names, in order."""
    parser = _Parser(text, _tokens(text))
    parser.any_of(0)
    return list(dict.fromkeys(parser.names))


def compile_sort(text: str) -> tuple[str, Parameters]:
    """An SQL ``ORDER BY`` list: names as in filters, separated by commas, ``-`` first for descending."""
    parts: list[str] = []
    parameters: Parameters = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        is_descending = name.startswith("-")
        sql, more = _operand(name.lstrip("-+"), is_number=True)
        parts.append(f"{sql} {'DESC' if is_descending else 'ASC'} NULLS LAST")
        parameters += more
    if not parts:
        message = "--sort names nothing; expected for example -test/accuracy or params.rank"
        raise UsageError(message)
    return ", ".join(parts), parameters


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = TOKEN.match(stripped, at)
        if match is None or match.lastgroup is None:
            message = f"--where: can't read {stripped[at:]!r} at column {at + 1}"
            raise UsageError(message)
        found.append(Token(match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)))
        at = match.end()
    return found


def _operand(name: str, *, is_number: bool) -> tuple[str, Parameters]:
    if name in COLUMNS:
        return COLUMNS[name], []
    if (key := _parameter(name)) is not None:
        column = "p.number" if is_number else "p.value"
        condition = "p.run_id = r.run_id AND (p.name = ? OR ends_with(p.name, ?))"
        return f"(SELECT any_value({column}) FROM params p WHERE {condition})", [key, f".{key}"]  # noqa: S608 - literals
    if "/" not in name and (near := difflib.get_close_matches(name, MISSPELT, 1, 0.75)):
        message = f"--where: {name!r} is no column of a run; did you mean {near[0]!r}? Metrics and params.NAME work too"
        raise UsageError(message)
    return f"(SELECT {MEASURED} FROM result_metrics m WHERE m.run_id = r.run_id AND m.name = ?)", [name]  # noqa: S608 - literals


def _parameter(name: str) -> str | None:
    """The parameter that a name means: ``params.NAME``, or ``stage.option``; None for a metric."""
    if name.startswith("params."):
        return name.removeprefix("params.")
    return name if "." in name and "/" not in name else None


def unknown_names(text: str, metrics: Sequence[str], parameters: Sequence[str]) -> list[str]:
    """What a filter names that no run has, each with the nearest name there is: why it may find nothing."""
    found: list[str] = []
    options = {*parameters, *(name.rpartition(".")[2] for name in parameters)}
    for name in names_in(text):
        key = _parameter(name)
        known = options if key is not None else set(metrics)
        if (key or name) not in known and name not in COLUMNS and name not in {"tag", "tags"}:
            near = difflib.get_close_matches(key or name, sorted(known), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            found.append(f"no run has {'the parameter' if key is not None else 'the metric'} {key or name!r}{hint}")
    return found


class _Parser:
    """Recursive descent: or over and over not over comparison."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0
        self.parameters: Parameters = []
        self.names: list[str] = []

    def any_of(self, depth: int) -> str:
        parts = [self.all_of(depth)]
        while self._take_word("or"):
            parts.append(self.all_of(depth))
        return f"({' OR '.join(parts)})"

    def all_of(self, depth: int) -> str:
        parts = [self.term(depth)]
        while self._take_word("and"):
            parts.append(self.term(depth))
        return f"({' AND '.join(parts)})"

    def term(self, depth: int) -> str:
        if depth > DEPTH_MAX:
            self._fail("nested too deeply")
        if self._take_word("not"):
            return f"(NOT coalesce({self.term(depth + 1)}, false))"
        if self._take("mark", "("):
            inner = self.any_of(depth + 1)
            if not self._take("mark", ")"):
                self._fail("expected )")
            return inner
        return self._comparison()

    def expect_end(self) -> None:
        if self.at < len(self.tokens):
            self._fail("expected and, or, or the end")

    def _comparison(self) -> str:
        name = self._next("word", "a name")
        if self._take_word("in"):
            return self._membership(name)
        operator = OPERATORS[self._next("operator", "an operator (= != < <= > >= ~)")]
        return self._compare(name, operator, self._value())

    def _membership(self, name: str) -> str:
        if not self._take("mark", "("):
            self._fail("expected ( after in")
        parts = [self._compare(name, "=", self._value())]
        while self._take("mark", ","):
            parts.append(self._compare(name, "=", self._value()))
        if not self._take("mark", ")"):
            self._fail("expected )")
        return f"({' OR '.join(parts)})"

    def _compare(self, name: str, operator: str, value: object) -> str:
        self.names.append(name)
        if operator == "ILIKE":
            value = f"%{value}%"
        if name in {"tag", "tags"}:
            self.parameters.append(value)
            exists = "SELECT 1 FROM tags t WHERE t.subject_id = r.run_id AND t.tag"
            return f"(EXISTS ({exists} {operator} ?))"
        sql, more = _operand(name, is_number=isinstance(value, float))
        self.parameters += [*more, value]
        return f"({sql} {operator} ?)"

    def _value(self) -> object:
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if token.kind == "number":
                return float(token.text)
            if token.kind == "text":
                return token.text[1:-1]
            if token.kind == "word":
                return token.text.lower() == "true" if token.text.lower() in {"true", "false"} else token.text
            self.at -= 1
        self._fail("expected a value")
        return None

    def _next(self, kind: str, what: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at].kind != kind:
            self._fail(f"expected {what}")
        self.at += 1
        return self.tokens[self.at - 1].text

    def _take(self, kind: str, text: str) -> bool:
        if self.at < len(self.tokens) and (self.tokens[self.at].kind, self.tokens[self.at].text) == (kind, text):
            self.at += 1
            return True
        return False

    def _take_word(self, word: str) -> bool:
        is_there = self.at < len(self.tokens) and self.tokens[self.at].kind == "word"
        if is_there and self.tokens[self.at].text.lower() == word:
            self.at += 1
            return True
        return False

    def _fail(self, what: str) -> None:
        column = self.tokens[self.at].at + 1 if self.at < len(self.tokens) else len(self.text) + 1
        message = f"--where: {what} at column {column} of {self.text!r}"
        raise UsageError(message)
