"""Short names of a grid's cells: ``r16-lr3e-3``.

A label names the parameters that vary, each by the shortest abbreviation that no other one has, with its value.
Labels are unique within a submission even where case does not count, hold only letters, digits, ``_`` and
``-`` (so that they are safe in file names, and the dot in ``label.repeat`` is the only one), and are stored with the
run.
"""

from __future__ import annotations

import collections
import decimal
import itertools
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from crucible.canonical import canonical_json, digest_of

LABEL_CHARS_MAX: Final = 80
LABEL_OF_THE_ONLY_CELL: Final = "base"

_TEXT_CHARS_MAX: Final = 16
_INTEGER_CHARS_MAX: Final = 5
"""Integers of more digits may be written with an exponent."""


def labels_of(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a label for each cell; the cells must differ from each other."""
    keys = _varied(cells)
    if not keys:
        return [LABEL_OF_THE_ONLY_CELL if len(cells) == 1 else f"c{index}" for index in range(len(cells))]
    names = _key_names(keys)
    values = {key: _value_names([cell[key] for cell in cells]) for key in keys}
    keys.sort(key=lambda key: (len(names[key]), names[key]))
    labels = ["-".join(names[key] + values[key][_identity(cell[key])] for key in keys) for cell in cells]
    counts = collections.Counter(label.lower() for label in labels)
    if max(counts.values()) > 1 or max(len(label) for label in labels) > LABEL_CHARS_MAX:
        return [f"c{index}" for index in range(len(cells))]
    return labels


def _varied(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = sorted({key for cell in cells for key in cell})
    return [key for key in keys if len({_identity(cell[key]) for cell in cells}) > 1]


def _identity(value: Any) -> Hashable:
    if isinstance(value, bool | str | None):
        return (type(value).__name__, value)
    return canonical_json(value)


def _key_names(keys: Sequence[str]) -> dict[str, str]:
    """Abbreviate keys: initials of the option's words, then more of each word, then the whole key."""
    words = {key: [word for word in re.split(r"[^A-Za-z0-9]+", key.rpartition(".")[2]) if word] for key in keys}
    longest = max((len(word) for parts in words.values() for word in parts), default=1)
    chosen: dict[str, str] = {}
    open_keys = list(keys)
    for length in range(1, longest + 1):
        names = {key: "".join(word[:length] for word in words[key]) for key in open_keys}
        taken = collections.Counter([*names.values(), *chosen.values()])
        chosen |= {key: name for key, name in names.items() if name and taken[name] == 1}
        open_keys = [key for key in open_keys if key not in chosen]
    for key in open_keys:
        chosen[key] = re.sub(r"[^A-Za-z0-9]+", "_", key)
    return chosen


def _value_names(values: Sequence[Any]) -> dict[Hashable, str]:
    """Abbreviate the values of one key."""
    by_identity = {_identity(value): value for value in values}
    texts = {identity: _slug(value) for identity, value in by_identity.items() if isinstance(value, str)}
    short = dict(zip(texts, _shortest_prefixes(list(texts.values())), strict=True))
    return {
        identity: f"_{short[identity]}" if identity in short else _value_name(value)
        for identity, value in by_identity.items()
    }


def _value_name(value: Any) -> str:
    if value is None:
        return "_none"
    if isinstance(value, bool):
        return "_yes" if value else "_no"
    if isinstance(value, int | float):
        return number_name(value)
    if isinstance(value, list) and value and all(type(each) in (int, float) for each in value):
        name = "_" + "x".join(number_name(each) for each in value)
        if len(name) <= _TEXT_CHARS_MAX:
            return name
    return "_" + digest_of(value)[:8]


def number_name(value: float) -> str:
    """Write a number without a dot: ``16``, ``3e-3``, ``0p5``: plain digits where they are short or no longer."""
    number = decimal.Decimal(repr(value or 0)).normalize()  # JSON has no zero with a sign
    plain = f"{number:f}"
    sign, digits, exponent = number.as_tuple()
    if number == number.to_integral_value() and len(plain) <= _INTEGER_CHARS_MAX:
        return plain
    mantissa = "".join(str(digit) for digit in digits)
    power = int(exponent) + len(mantissa) - 1
    point = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    scientific = f"{'-' if sign else ''}{mantissa[0]}{point}e{power}"
    return min((scientific, plain), key=len).replace(".", "p")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def _shortest_prefixes(texts: Sequence[str]) -> list[str]:
    """Return for each text its shortest prefix that starts no other text, or the text itself where there is none."""
    order = sorted(range(len(texts)), key=lambda index: texts[index].lower())
    shared = [0] * len(texts)
    for one, other in itertools.pairwise(order):
        common = _shared_chars(texts[one].lower(), texts[other].lower())
        shared[one] = max(shared[one], common)
        shared[other] = max(shared[other], common)
    return [text[: min(shared[index] + 1, _TEXT_CHARS_MAX)] for index, text in enumerate(texts)]


def _shared_chars(one: str, other: str) -> int:
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
