"""The page ``docs/states.md``: what each event does in each state, found by trying.

``python -m crucible.rules.states_page`` prints the page, ``--write PATH`` writes it, and ``--check PATH`` exits with 1
and says so if the page there is not the one that the rules give.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from crucible.page_command import run_page_command
from crucible.rules.exploration import AGGREGATES, NOTHING, Step, explore

PAGE = Path("docs/states.md")
_HEAD = """\
# States and transitions

This page is generated from the rules (`python -m crucible.rules.states_page --write`), and a test compares it with
them. The folds in `crucible/rules` are given every event in every form that could matter, in every state that can be
reached; nothing here is written by hand.

An event that does not stand below a state as a transition is *void* there: it stays on the log, is counted and shown,
and has no effect. Every state of a run also takes tags, notes and the answers of commands, which change none of this.
A claim is part of the state *stage running*: while it lives its records (heartbeats, checkpoints, artifacts, datasets)
change how far it is and not the state; records of any other claim are void ("fenced").
"""


def page() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD]
    for aggregate in AGGREGATES:
        parts.append(f"\n## {aggregate.name}\n")
        steps = explore(aggregate)
        for state in _ordered(steps):
            here = [step for step in steps if step.state == state]
            parts.append(f"\n### {aggregate.name}: {state}\n\n{_transitions(here)}{_voids(here)}")
    return "".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Print, write or check the page; the exit code."""
    return run_page_command("crucible.rules.states_page", __doc__, PAGE, lambda _: page(), arguments)


def _ordered(steps: Iterable[Step]) -> list[str]:
    """States in the order in which they are reached: first where nothing is, then breadth first by name."""
    following: dict[str, set[str]] = {}
    for step in steps:
        following.setdefault(step.state, set())
        if step.becomes is not None:
            following[step.state].add(step.becomes)
    start = NOTHING if NOTHING in following else min(following, key=lambda name: (name != "no answer", name != "free"))
    order = [start]
    for state in order:
        order.extend(name for name in sorted(following[state]) if name not in order)
    return order


def _transitions(steps: Iterable[Step]) -> str:
    rows = sorted({(step.event, step.becomes) for step in steps if step.becomes is not None})
    if not rows:
        return ""
    lines = "".join(f"| `{event}` | {becomes} |\n" for event, becomes in rows)
    return f"| event | becomes |\n|---|---|\n{lines}"


def _voids(steps: Iterable[Step]) -> str:
    reasons: dict[str, set[str]] = {}
    for step in steps:
        if step.reason is not None:
            reasons.setdefault(step.reason, set()).add(step.event)
    if not reasons:
        return ""
    lines = "".join(
        f"| {reason} | {', '.join(f'`{event}`' for event in sorted(events))} |\n"
        for reason, events in sorted(reasons.items())
    )
    return f"\n| void because | events |\n|---|---|\n{lines}"


if __name__ == "__main__":
    sys.exit(main())
