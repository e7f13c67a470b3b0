"""A test that an analysis is asked for: by which metric which groups are compared, over which pairs, in which family.

What is not said is chosen by the design and never by the data: pairs wherever repeats share seeds or items are shared,
the paired t test of pairs, Welch's of others.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field

from crucible.bench.corrections import Correction
from crucible.bench.result import Alternative
from crucible.canonical import canonical_json, parse_json
from crucible.definition.model import Model

Pairing = Literal["repeat", "item", "item_and_repeat", "none"]
TestName = Literal[
    "t_paired",
    "wilcoxon",
    "permutation_paired",
    "mcnemar",
    "anytime_paired",
    "evaluation_difference",
    "tost",
    "t_welch",
    "t_student",
    "t_yuen",
    "mannwhitney",
    "brunner_munzel",
    "permutation_independent",
    "anova_oneway",
    "anova_welch",
    "kruskal",
    "friedman",
]
CELL: Final = "cell"
"""In place of parameters: each cell is a group of its own."""
PLANNED: Final = "planned"
"""Family of tests that name none: all of an analysis are corrected together."""
PAIRED_TESTS: Final = frozenset({"t_paired", "wilcoxon", "permutation_paired", "mcnemar", "anytime_paired", "friedman"})
OMNIBUS_TESTS: Final = frozenset({"anova_oneway", "anova_welch", "kruskal", "friedman"})
"""One test of all groups at once: whether any differs."""
TWO_SIDED_TESTS: Final = OMNIBUS_TESTS | {"anytime_paired", "tost"}
"""Tests without a side to choose."""
PAIRINGS: Final[Mapping[str, tuple[Pairing, ...]]] = {
    "evaluation_difference": ("item_and_repeat",),
    "tost": ("repeat", "item", "none"),
    **dict.fromkeys(PAIRED_TESTS, ("repeat", "item")),
}
"""Units of pairing that a test can have; one that is not named here has none."""
DEFAULT_TESTS: Final[Mapping[Pairing, TestName]] = {
    "repeat": "t_paired",
    "item": "t_paired",
    "item_and_repeat": "evaluation_difference",
    "none": "t_welch",
}
ALPHA: Final = 0.05


class AskedTest(Model):
    """One declared test; of two groups at a time, each two are tested, or each with ``against``."""

    metric: str
    """A metric that stages of the runs declare."""
    by: str | list[str] = CELL
    """Parameter, or several, whose values make the groups; ``cell``: each cell is one."""
    test: TestName | None = None
    """None: that of the pairing."""
    pair: Pairing | None = None
    """What makes a pair; None: items if the metric is a mean over items, else repeats; nothing of unpaired tests."""
    against: str | int | float | bool | None = None
    """The group that each other one is compared with, by name or by the value of the one parameter; None: each two."""
    alternative: Alternative = "two-sided"
    """``greater``: the first group's mean is greater than the second's."""
    margin: Annotated[float, Field(gt=0)] | None = None
    """Of ``tost``: the smallest difference that matters, in the unit of the metric."""
    family: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")] = PLANNED
    """Tests of one family are corrected together."""
    correction: Correction = "holm"
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = ALPHA
    """Chance of error that the whole family is allowed."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Parameters that make the groups; none: cells are the groups."""
        named = (self.by,) if isinstance(self.by, str) else tuple(self.by)
        return () if named == (CELL,) else named

    @property
    def of(self) -> str:
        """What makes the groups, as one text."""
        return ", ".join(self.parameters) or CELL

    def resolved(self, *, has_items: bool, parameters: Sequence[str]) -> Self:
        """The test with everything said that was left open; ``parameters`` are the full names of the grid's."""
        pair = self.pair or _pairing(self.test, has_items=has_items)
        by = [_full_names(name, parameters)[0] for name in self.parameters]
        against = None if self.against is None else meant_group(self.against, by, parameters)
        return self.model_copy(
            update={"pair": pair, "test": self.test or DEFAULT_TESTS[pair], "by": by or CELL, "against": against}
        )

    def canonical_json(self) -> str:
        """The test as records hold it."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The test of ``canonical_json``. Raises ``ValueError`` for another text."""
        return cls.model_validate(parse_json(text))


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a field of a test."""

    field: str
    message: str
    value: Any
    names: tuple[str, ...] = ()
    """Valid names, where the value should have been one."""


def faults_of(
    asked: AskedTest, *, is_with_items: Mapping[str, bool], cells: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> Iterator[Fault]:
    """Everything that can't be done of a test.

    ``is_with_items`` tells of each declared metric whether it is a mean over scored items; ``cells`` are the grid's,
    with their labels.
    """
    if asked.metric not in is_with_items:
        yield Fault("metric", "is a metric that no stage of the runs declares", asked.metric, tuple(is_with_items))
    parameters = sorted({name for cell in cells for name in cell})
    known = True
    if isinstance(asked.by, list) and (not asked.by or len(set(asked.by)) < len(asked.by)):
        known = False
        yield Fault("by", "needs parameters, each once", asked.by)
    for name in asked.parameters:
        found = _full_names(name, parameters)
        if name == CELL and not found:
            known = False
            yield Fault("by", "stands alone: each cell is a group already", asked.by)
            continue
        if len(found) != 1:
            known = False
            message = f"could be {' or '.join(found)}" if found else "is no parameter of the grid"
            yield Fault("by", message, name, () if found else (*parameters, CELL))
    yield from _design_faults(asked, has_items=is_with_items.get(asked.metric, True))
    if known:
        yield from _group_faults(asked, parameters, cells, labels)


def _design_faults(asked: AskedTest, *, has_items: bool) -> Iterator[Fault]:
    pair = asked.pair or _pairing(asked.test, has_items=has_items)
    test = asked.test or DEFAULT_TESTS[pair]
    allowed = PAIRINGS.get(test, ("none",))
    if pair not in allowed:
        yield Fault("pair", f"is no unit of pairing that {test} can have: {' or '.join(allowed)}", pair)
    elif pair in {"item", "item_and_repeat"} and not has_items:
        yield Fault("pair", f"needs scored items, and {asked.metric} is declared without mean_of", pair)
    if (test == "tost") != (asked.margin is not None):
        said = "needs a margin: the smallest difference that matters" if test == "tost" else f"is not for {test}"
        yield Fault("margin", said, asked.margin)
    if test in TWO_SIDED_TESTS and asked.alternative != "two-sided":
        yield Fault("alternative", f"is not for {test}, which has no side", asked.alternative)
    if test in OMNIBUS_TESTS and asked.against is not None:
        yield Fault("against", f"is not for {test}, which tests all groups at once", asked.against)


def _group_faults(
    asked: AskedTest, parameters: Sequence[str], cells: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> Iterator[Fault]:
    names = [_full_names(name, parameters)[0] for name in asked.parameters]
    groups = tuple(dict.fromkeys(group_label(names, cell, label) for cell, label in zip(cells, labels, strict=True)))
    if len(groups) < 2:  # noqa: PLR2004  two groups
        yield Fault("by", "gives one group only: there is nothing to compare", asked.of)
        return
    is_pair = (asked.test or "") not in OMNIBUS_TESTS
    if is_pair and asked.against is not None and meant_group(asked.against, names, parameters) not in groups:
        yield Fault("against", "is no group", asked.against, groups)
    rests: dict[str, set[str]] = {}
    for cell, label in zip(cells, labels, strict=True):
        rests.setdefault(group_label(names, cell, label), set()).add(rest_text(names, cell))
    if not set.intersection(*rests.values()):
        yield Fault("by", "gives groups of which no other parameters' values are in all: compare by cell", asked.of)


def family_faults(tests: Sequence[AskedTest]) -> Iterator[tuple[int, Fault]]:
    """Tests that do not fit their family, each with its place: another correction or alpha, or the same test again."""
    first: dict[str, AskedTest] = {}
    seen: set[str] = set()
    for place, asked in enumerate(tests):
        text = repr(asked)  # total, whatever is in it
        if text in seen:
            yield place, Fault("test", f"is declared twice in the family {asked.family!r}", asked.test)
        seen.add(text)
        head = first.setdefault(asked.family, asked)
        for field in ("correction", "alpha"):
            if getattr(head, field) != getattr(asked, field):
                message = f"differs within the family {asked.family!r}, whose first test has {getattr(head, field)!r}"
                yield place, Fault(field, message, getattr(asked, field))


def group_label(parameters: Sequence[str], cell: Mapping[str, Any], label: str) -> str:
    """Name of the group that a cell belongs to: its label, or ``name=value`` of each parameter."""
    if not parameters:
        return label
    return ", ".join(f"{_short(name, cell)}={group_text(cell.get(name))}" for name in parameters)


def rest_text(parameters: Sequence[str], cell: Mapping[str, Any]) -> str:
    """The parameters of a cell that make no group; none if cells are the groups."""
    return canonical_json({name: value for name, value in cell.items() if name not in parameters}) if parameters else ""


def group_text(value: Any) -> str:
    """A parameter's value as part of a group's name: another one for each value, so a text like ``1`` has quotes.

    A number that JSON does not carry exactly is no parameter's value, and is written as it is.
    """
    if not isinstance(value, str):
        try:
            return canonical_json(value)
        except ValueError:
            return repr(value)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return value
    return json.dumps(value, ensure_ascii=False)


def meant_group(named: Any, parameters: Sequence[str], names: Sequence[str]) -> str:
    """The name of the group that is meant by its name, or by the value of the one parameter; ``names``: all there are.

    A text from a command line means the value that it is the JSON of.
    """
    if len(parameters) != 1:
        return named if isinstance(named, str) else group_text(named)
    prefix = f"{_short(parameters[0], names)}="
    if isinstance(named, str) and named.startswith(prefix):
        return named
    return prefix + (named if isinstance(named, str) else group_text(named))


def _short(name: str, names: Iterable[str]) -> str:
    """A parameter's name without its stage, where no other one is called so."""
    last = name.rpartition(".")[2]
    return last if sum(each.rpartition(".")[2] == last for each in names) == 1 else name


def _pairing(test: str | None, *, has_items: bool) -> Pairing:
    """The unit of pairing where none was named."""
    allowed = ("repeat", "item") if test is None else PAIRINGS.get(test, ("none",))
    if "item" in allowed and has_items:
        return "item"
    return allowed[0]


def _full_names(name: str, parameters: Sequence[str]) -> list[str]:
    """The parameters that a name can mean: itself, or those that end with it after a dot."""
    return [name] if name in parameters else [each for each in parameters if each.rpartition(".")[2] == name]
