"""Declared tests as ``crucible show``, ``crucible run`` and ``crucible analyze`` print them, family by family."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from crucible.cli.text import columns, number, plain, say
from crucible.numerals import percent, written, written_p
from crucible.plural import plural

ROWS_SHOWN_MAX = 40
CONCLUSIONS_SHOWN_MAX = 8
Row = Mapping[str, Any]


def print_tests(rows: Sequence[Row]) -> None:
    """The tests of one analysis: a table for each family, then what they say."""
    for (family, standing), group in itertools.groupby(rows, key=lambda row: (row["family"], row["standing"])):
        own = list(group)
        say(f"  {_heading(family, standing, own)}:")
        table = columns(
            ["compared", "metric", "test", "n", "estimate", "interval", "p", "effect", ""],
            [_line(row) for row in own[:ROWS_SHOWN_MAX]],
        )
        say("\n".join(f"    {line}" for line in table.splitlines()))
        for row in own[:ROWS_SHOWN_MAX]:
            say(f"    {plain(row['conclusion'])}")
        if len(own) > ROWS_SHOWN_MAX:
            say(f"    … and {len(own) - ROWS_SHOWN_MAX} more: the view tests_judged holds all")


def print_conclusions(rows: Sequence[Row]) -> None:
    """What the tests of the experiment's own analysis say: the planned ones, or else all, without tables."""
    own = [row for row in rows if row["is_of_experiment"]]
    planned = [row for row in own if row["standing"] == "planned"] or own
    for row in planned[:CONCLUSIONS_SHOWN_MAX]:
        mark = "" if row["standing"] == "planned" else " (exploratory)"
        say(f"  {plain(row['conclusion'])}{mark}")
    if len(planned) > CONCLUSIONS_SHOWN_MAX:
        say(f"  … and {len(planned) - CONCLUSIONS_SHOWN_MAX} more tests: crucible show prints them")


def print_analyses(rows: Sequence[Row]) -> None:
    """The tests of every analysis of a submission, its own one first."""
    for analysis, group in itertools.groupby(rows, key=lambda row: (row["analysis"], row["stage"])):
        say(f"tests of {plain(analysis[0])}, {plain(analysis[1])}:")
        print_tests(list(group))


def print_changes(changes: Sequence[Row]) -> None:
    """What differs from the experiment's own analysis."""
    known = [row for row in changes if row["first_test"] is not None]
    if not known:
        say("  none of these comparisons was made before")
        return
    changed = [row for row in known if row["change"] != "same conclusion"]
    count = len(known)
    say(f"  beside the first analysis: {len(changed)} of {count} {plural(count, 'conclusion')} changed")
    table = columns(
        ["compared", "metric", "first", "estimate", "p", "now", "estimate", "p", ""],
        [
            [
                row["label"],
                row["metric"],
                f"{row['first_test']}, {row['first_correction']}",
                number(row["first_estimate"]),
                written_p(row["first_p_adjusted"]),
                f"{row['test']}, {row['correction']}",
                number(row["estimate"]),
                written_p(row["p_adjusted"]),
                row["change"],
            ]
            for row in known[:ROWS_SHOWN_MAX]
        ],
    )
    say("\n".join(f"    {line}" for line in table.splitlines()))


def _heading(family: str, standing: str, own: Sequence[Row]) -> str:
    head = own[0]
    count = head["family_tests"]
    corrected = (
        "not corrected"
        if head["correction"] == "none"
        else f"{head['correction']} over {count} {plural(count, 'test')}"
    )
    return f"family {plain(family)}, {corrected}, alpha {head['alpha']:g}; {standing}: {head['standing_reason']}"


def _line(row: Row) -> list[object]:
    return [
        row["label"],
        row["metric"],
        row["test"],
        f"{row['n']}" if row["n_second"] is None else f"{row['n']} + {row['n_second']}",
        number(row["estimate"]),
        _span(row),
        written_p(row["p_adjusted"], row["ln_p_adjusted"]),
        "" if row["effect"] is None else f"{row['effect_name']} {number(row['effect'])}",
        row["reason"] or "",
    ]


def _span(row: Row) -> str:
    if row["level"] is None:
        return ""
    low = "−∞" if row["low"] is None else written(row["low"])
    high = "∞" if row["high"] is None else written(row["high"])
    return f"[{low}, {high}] {percent(row['level'])}"
