"""Which permit a run needs next before it may start, and whether there is one to be had."""

from __future__ import annotations

from collections.abc import Mapping

from crucible.rules.blueprint import Blueprint
from crucible.rules.budget import budget_of, runs_limit
from crucible.rules.draft import Draft
from crucible.rules.plan import is_kept, plan_grant
from crucible.rules.state import LimitState, RunState, SubmissionState
from crucible.rules.world import World

CAPACITY_MAX = 2**31 - 1
"""Of a limit: more do not fit the record of a permit."""
CAPACITY_UNKNOWN = 1
"""Of a limit that a run names and its definition, as this version reads it, does not."""


class Permits:
    """Permits that were asked for and are not yet seen on the log. For one thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked: dict[str, set[str]] = {}
        """By limit, runs whose permit was asked for and is not yet seen on the log."""
        self._released: dict[str, set[str]] = {}
        """By limit, runs whose permit this plan gives back: the next one may be asked for behind them."""

    def forget(self) -> None:
        """Nothing that was asked for may be on the log."""
        self._asked = {}

    def begin_plan(self) -> None:
        """What earlier plans have given back is on the log or not: the world says it."""
        self._released.clear()

    def note(self, limit: str, run_id: str) -> None:
        """A grant or a release was read."""
        self._asked.get(limit, set()).discard(run_id)

    def give_back(self, limit: str, run_id: str) -> None:
        """This plan gives a permit back."""
        self._released.setdefault(limit, set()).add(run_id)

    def next_one(self, run: RunState, submission: SubmissionState, blueprint: Blueprint) -> list[list[Draft]] | None:
        """The next permit to ask for; none if all are held or asked for; None if a limit is reached."""
        for name in sorted(run.created.limits):
            limit = self._world.limits.get(name)
            holders: Mapping[str, int] = limit.holders if limit is not None else {}
            if _holds(run, limit):
                continue
            asked = self._asked.setdefault(name, set())
            if run.run_id in asked:
                return []
            capacity = _capacity(name, submission, blueprint)
            released = sum(holder in holders for holder in self._released.get(name, ()))
            if len(holders) - released + len(asked) >= capacity:
                return None
            asked.add(run.run_id)
            return [plan_grant(run, name, capacity)]
        return []

    def holds_all(self, run: RunState) -> bool:
        """Whether a run has every permit that it needs."""
        return all(_holds(run, self._world.limits.get(name)) for name in run.created.limits)


def _holds(run: RunState, limit: LimitState | None) -> bool:
    """Whether a run has its permit of a limit for this generation, or keeps an earlier one."""
    grant = limit.holders.get(run.run_id) if limit is not None else None
    if limit is None or grant is None:
        return False
    return grant == run.generation or (is_kept(run, limit.limit) and run.starts > 0)


def _capacity(name: str, submission: SubmissionState, blueprint: Blueprint) -> int:
    """How many may hold a limit at once: of the budget of runs, as many as it allows now."""
    if name == runs_limit(submission.submission_id):
        runs = budget_of(submission).runs
        return CAPACITY_UNKNOWN if runs is None else int(min(runs, CAPACITY_MAX))
    return min(blueprint.capacities.get(name, CAPACITY_UNKNOWN), CAPACITY_MAX)
