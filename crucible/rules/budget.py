"""What a submission may use, and what its runs have used: seconds of work, a cost, runs that started.

Limits stand in the definition and are changed by `BudgetChanged`. What was used is added up by the manager, live
claims by its own monotonic clock; what follows from it is decided by the `BudgetExceeded` that it writes.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from crucible.rules.state import RunState, SubmissionState

KINDS = ("time_s", "cost", "runs")
UNITS: Mapping[str, str] = {"time_s": " s of work", "cost": "", "runs": " runs"}
MICROSECONDS = 1_000_000
SHOWN_CHARACTERS_MAX = 80
"""Of a wrong value in a message."""


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """What a submission may use; None: no limit."""

    time_s: float | None = None
    cost: float | None = None
    metric: str | None = None
    """Metric that the cost is the sum of."""
    runs: float | None = None

    def limit(self, kind: str) -> float | None:
        """The limit of a kind."""
        limit: float | None = getattr(self, kind)
        return limit


NO_BUDGET = Budget()


def runs_limit(submission_id: str) -> str:
    """The limit that a budget of runs is kept by.

    It sorts before every other one, so that no run waits for its share while it holds what another one needs.
    """
    return f"budget:{submission_id}:runs"


def budget_of(submission: SubmissionState) -> Budget:
    """What a submission may use now: as it was defined, and changed since."""
    declared = declared_budget(submission.accepted.definition_json)
    changed: dict[str, Any] = dict(submission.limits)
    return dataclasses.replace(declared, **changed) if changed else declared


@functools.lru_cache(maxsize=256)
def declared_budget(definition_json: str) -> Budget:
    """The budget of a definition; none if its text says nothing that can be read."""
    budget = _mapping(_parsed(definition_json).get("budget"))
    cost = _mapping(budget.get("cost"))
    limits = limits_in({**budget, "cost": cost.get("max")})
    return Budget(**limits, metric=str(cost.get("metric")) if "cost" in limits else None)


def limits_of(budget_json: str) -> dict[str, float]:
    """The limits that a `BudgetChanged` names; what is none is left out."""
    return limits_in(_parsed(budget_json))


def limits_in(values: Mapping[str, Any]) -> dict[str, float]:
    """The limits among ``values``: positive finite numbers by kind."""
    return {kind: float(values[kind]) for kind in KINDS if is_limit(values.get(kind))}


def is_limit(value: Any) -> bool:
    """Whether a value is a positive finite number that a double can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return value > 0 and math.isfinite(float(value))
    except OverflowError:
        return False


def limit_problems(budget_json: str, budget: Budget) -> list[str]:
    """Everything that is wrong with a change of a budget."""
    try:
        values = json.loads(budget_json)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not values:
        return [f"no limits: {budget_json[:SHOWN_CHARACTERS_MAX]!r}; expected {', '.join(KINDS)} with a number each"]
    return [problem for kind, value in values.items() if (problem := _limit_problem(kind, value, budget))]


def _limit_problem(kind: str, value: Any, budget: Budget) -> str:
    """What is wrong with one limit. Cost and runs are counted from the beginning or not at all."""
    if kind not in KINDS:
        return f"{kind[:SHOWN_CHARACTERS_MAX]!r} is no kind of budget; expected one of {', '.join(KINDS)}"
    if not is_limit(value):
        return f"{kind}: {str(value)[:SHOWN_CHARACTERS_MAX]} is no limit; expected a positive number"
    if kind == "runs" and value != int(value):
        return f"runs: {value} is no limit; expected a whole number"
    if kind != "time_s" and budget.limit(kind) is None:
        return f"the experiment was submitted without a budget of {kind}, so it can't be given one now"
    return ""


def amount(kind: str, value: float | None) -> str:
    """A limit or what was used of it, for people."""
    return "nothing measured" if value is None else f"{value:,.6g}{UNITS.get(kind, '')}"


@dataclasses.dataclass(slots=True)
class _Heard:
    """A live claim, and when its newest record was noted."""

    last_event_id: str
    noted_s: float
    lease_s: float


class Ledger:
    """What the runs of one submission have used of time and cost, kept as they change. For one thread."""

    def __init__(self, metric: str | None) -> None:
        """Nothing yet. ``metric`` is what the cost is the sum of."""
        self._metric = metric
        self._work_us: dict[str, int] = {}
        self._all_work_us = 0
        self._live: dict[str, _Heard] = {}
        self._costs: dict[str, tuple[float, ...]] = {}
        self._cost: float | None = None
        self._is_cost_known = True

    def put(self, run: RunState, now_s: float) -> None:
        """Note what a run has used, as read by ``now_s`` on any clock that never goes back."""
        claims = [claim for stage in run.stages for attempt in stage.attempts for claim in attempt.claims]
        work_us = sum(claim.work_us for claim in claims)
        self._all_work_us += work_us - self._work_us.get(run.run_id, 0)
        self._work_us[run.run_id] = work_us
        claim = run.live_claim
        known = self._live.get(run.run_id)
        if claim is None:
            self._live.pop(run.run_id, None)
        elif known is None or known.last_event_id != claim.last_event_id:
            self._live[run.run_id] = _Heard(claim.last_event_id, now_s, claim.lease_ms / 1000)
        costs = costs_of(run, self._metric) if self._metric is not None else ()
        if costs != self._costs.get(run.run_id, ()):
            self._costs[run.run_id] = costs
            self._is_cost_known = False

    @property
    def live_runs(self) -> Iterable[str]:
        """Runs that a claim holds."""
        return self._live

    def time_s(self, now_s: float) -> float:
        """Seconds of work: of ended claims as their workers measured it, of live ones also what passed since.

        A claim that is not heard of counts no longer than its lease.
        """
        silent = (min(max(0.0, now_s - heard.noted_s), heard.lease_s) for heard in self._live.values())
        return self._all_work_us / MICROSECONDS + math.fsum(silent)

    def time_left_s(self, limit_s: float, now_s: float) -> float:
        """Seconds until the limit may be reached by what is at work."""
        return max(0.0, limit_s - self.time_s(now_s)) / max(1, len(self._live))

    def cost(self) -> float | None:
        """The sum of the metric over all attempts that returned it; None: none did."""
        if not self._is_cost_known:
            self._cost = total(value for costs in self._costs.values() for value in costs)
            self._is_cost_known = True
        return self._cost


def costs_of(run: RunState, metric: str) -> tuple[float, ...]:
    """The values of a metric that the run's finished attempts returned, those of earlier generations too."""
    return tuple(
        value
        for stage in run.stages
        for attempt in stage.attempts
        if attempt.completed is not None
        for result in attempt.completed.metrics
        if result["name"] == metric and (value := result["value"]) is not None and math.isfinite(value)
    )


def total(values: Iterable[float]) -> float | None:
    """The exact sum, rounded once (`math.fsum`); None of nothing, infinity beyond what a double holds."""
    found = list(values)
    if not found:
        return None
    try:
        return math.fsum(found)
    except OverflowError:
        return math.inf


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
