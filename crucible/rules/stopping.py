"""What stops a submission before its end: a budget that is spent, a breaker that failures have opened.

A manager finds it, by sums over runs that no fold can make and by its own clock, and writes an event; only that event
decides. From the event alone follows the cancel, written by whichever manager comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crucible.canonical import derived_id
from crucible.records.limit_events import BreakerOpened, BudgetExceeded
from crucible.records.record import Record
from crucible.records.run_events import RunCancelRequested, SubmissionCancelRequested
from crucible.rules.breaker import FailureWindow, breaker_of, is_too_many
from crucible.rules.budget import KINDS, Budget, Ledger, amount, budget_of, runs_limit
from crucible.rules.draft import Draft
from crucible.rules.plan import inherits_cancel
from crucible.rules.queue import SubmissionQueue
from crucible.rules.state import RunState, SubmissionState
from crucible.rules.world import World
from crucible.scope import RUN_SCOPE

Stop = BudgetExceeded | BreakerOpened


class Stopping:
    """Looks at what submissions use and how their runs end. For one thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledgers: dict[str, Ledger] = {}
        self._windows: dict[str, FailureWindow] = {}
        self._heard: dict[str, None] = {}
        """Runs whose claims have recorded something since the last plan."""

    def begin_plan(self, now_s: float) -> None:
        """What was read until now was read by ``now_s``."""
        for run_id in self._heard:
            self.note_use(self._world.runs[run_id], now_s)
        self._heard.clear()

    def note_record(self, run_id: str) -> None:
        """A claim has recorded something that changes nothing else: a heartbeat, a checkpoint."""
        run = self._world.runs.get(run_id)
        if run is not None and run.created.submission_id in self._ledgers:
            self._heard[run_id] = None

    def note_run(self, run: RunState) -> None:
        """A run has changed."""
        submission_id = run.created.submission_id
        if run.created.scope != RUN_SCOPE:
            return
        window = self._windows.get(submission_id)
        if window is None and run.is_terminal:
            window = self._windows[submission_id] = FailureWindow()
        if window is not None:
            window.put(run)

    def note_generation(self, submission_id: str) -> None:
        """A submission was reopened: the failures before count no more."""
        self._windows.pop(submission_id, None)

    def note_use(self, run: RunState, now_s: float) -> None:
        """What a run has used, as read by ``now_s``."""
        ledger = self._ledgers.get(run.created.submission_id)
        if ledger is not None:
            ledger.put(run, now_s)

    def wait_s(self, now_s: float, most_s: float) -> float:
        """Seconds until a budget of time may be spent, at most ``most_s``."""
        return min([most_s, *(left_s for _, left_s in self._times_left(now_s))])

    def due(self, now_s: float) -> list[str]:
        """Submissions whose time is spent, though nothing may be new of them."""
        return [submission_id for submission_id, left_s in self._times_left(now_s) if left_s <= 0]

    def plan(self, submission: SubmissionState, queue: SubmissionQueue, now_s: float) -> list[Draft]:
        """What there is to write about a submission that has still something to do."""
        if submission.closed is not None or not self._has_work(submission, queue):
            return []
        drafts = [*self._exceeded(submission, queue, now_s), *self._opened(submission)]
        stop = next(iter(submission.stops), None)
        if stop is None or submission.cancel_reason is not None:
            return drafts
        if not only_starts_stop(submission) or not self._has_started(submission, queue):
            drafts.append(_cancel(submission, stop))
        return drafts

    def plan_run(self, run: RunState, submission: SubmissionState) -> Draft | None:
        """The cancel of a run that runs again while its submission is being canceled: what stops that, stops it too."""
        if submission.closed is not None or submission.cancel_reason is None or not submission.stops:
            return None
        if not self._survives(run, submission):
            return None
        if only_starts_stop(submission) and run.run_id in self._holders(submission):
            return None
        stop = submission.stops[0]
        return Draft(
            record_type=RunCancelRequested,
            event_id=derived_id(run.run_id, run.generation, stop.event_id, "RunCancelRequested"),
            fields={"run_id": run.run_id, "reason": stop_reason(stop)},
            causation_id=stop.event_id,
            correlation_id=run.created.correlation_id or run.created.event_id,
        )

    @staticmethod
    def _survives(run: RunState, submission: SubmissionState) -> bool:
        """Whether a run goes on though its submission may be being canceled: it was reopened since."""
        return not run.is_terminal and run.cancel_reason is None and not inherits_cancel(run, submission)

    def _has_work(self, submission: SubmissionState, queue: SubmissionQueue) -> bool:
        """Whether anything is left to do that is not about to be canceled."""
        runs = self._world.runs
        return any(self._survives(runs[run_id], submission) for run_id in queue.open_runs)

    def _exceeded(self, submission: SubmissionState, queue: SubmissionQueue, now_s: float) -> Iterator[Draft]:
        budget = budget_of(submission)
        known = {stop.kind for stop in submission.stops if isinstance(stop, BudgetExceeded)}
        for kind in KINDS:
            limit = budget.limit(kind)
            if limit is None or kind in known:
                continue
            spent = self._spent(kind, submission, budget, queue, now_s)
            if spent is not None and spent >= limit:
                fields = {
                    "kind": kind,
                    "metric": budget.metric if kind == "cost" else None,
                    "allowed": limit,
                    "spent": spent,
                }
                yield _stop(submission, BudgetExceeded, fields, kind, repr(limit))

    def _spent(
        self, kind: str, submission: SubmissionState, budget: Budget, queue: SubmissionQueue, now_s: float
    ) -> float | None:
        """What was used; None if nothing was measured, or if all that is left to do has its share already."""
        if kind == "runs":
            holders = self._holders(submission)
            runs = self._world.runs
            shareless = queue.open_runs.keys() - queue.experiment_runs.keys() - holders.keys()
            is_left = any(self._survives(runs[run_id], submission) for run_id in shareless)
            return float(sum(run_id in runs and runs[run_id].starts > 0 for run_id in holders)) if is_left else None
        ledger = self._ledger(submission, budget, queue, now_s)
        return ledger.time_s(now_s) if kind == "time_s" else ledger.cost()

    def _ledger(self, submission: SubmissionState, budget: Budget, queue: SubmissionQueue, now_s: float) -> Ledger:
        ledger = self._ledgers.get(submission.submission_id)
        if ledger is None:
            ledger = self._ledgers[submission.submission_id] = Ledger(budget.metric)
            for run_id in queue.run_ids:
                ledger.put(self._world.runs[run_id], now_s)
        return ledger

    def _opened(self, submission: SubmissionState) -> Iterator[Draft]:
        breaker = breaker_of(submission)
        window = self._windows.get(submission.submission_id)
        if breaker is None or window is None or any(isinstance(stop, BreakerOpened) for stop in submission.stops):
            return
        failures = window.failures(breaker.window)
        if is_too_many(breaker, failures):
            fields = {
                "window": breaker.window,
                "ended": failures.ended,
                "failed": failures.failed,
                "rate": failures.rate,
                "allowed_rate": breaker.failure_rate,
            }
            yield _stop(submission, BreakerOpened, fields)

    def _has_started(self, submission: SubmissionState, queue: SubmissionQueue) -> bool:
        """Whether a run that has its share of the budget of runs has not ended."""
        return not self._holders(submission).keys().isdisjoint(queue.open_runs)

    def _holders(self, submission: SubmissionState) -> Mapping[str, int]:
        limit = self._world.limits.get(runs_limit(submission.submission_id))
        return limit.holders if limit is not None else {}

    def _times_left(self, now_s: float) -> Iterator[tuple[str, float]]:
        """For each submission with a budget of time and something at work, seconds until it may be spent."""
        for submission_id, ledger in self._ledgers.items():
            submission = self._world.submission(submission_id)
            if submission is None or submission.closed is not None:
                continue
            if not any(self._survives(self._world.runs[run_id], submission) for run_id in ledger.live_runs):
                continue
            limit_s = budget_of(submission).time_s
            if limit_s is not None and not any(getattr(stop, "kind", "") == "time_s" for stop in submission.stops):
                yield submission_id, ledger.time_left_s(limit_s, now_s)


def only_starts_stop(submission: SubmissionState) -> bool:
    """Whether a submission is stopped by its budget of runs alone: what has started may end."""
    return all(isinstance(stop, BudgetExceeded) and stop.kind == "runs" for stop in submission.stops)


def stop_reason(stop: Stop) -> str:
    """Why a submission is stopped, in one line."""
    if isinstance(stop, BreakerOpened):
        allowed = "" if stop.allowed_rate is None else f"; {stop.allowed_rate:.1%} may"
        return f"the breaker is open: {stop.failed} of the last {stop.ended} runs to end have failed{allowed}"
    what = f"cost ({stop.metric})" if stop.metric is not None else stop.kind
    return f"the budget of {what} is spent: {amount(stop.kind, stop.spent)} of {amount(stop.kind, stop.allowed)}"


def _cancel(submission: SubmissionState, stop: Stop) -> Draft:
    accepted = submission.accepted
    return Draft(
        record_type=SubmissionCancelRequested,
        event_id=derived_id(accepted.submission_id, stop.event_id, "SubmissionCancelRequested"),
        fields={
            "submission_id": accepted.submission_id,
            "experiment": accepted.experiment,
            "reason": stop_reason(stop),
        },
        causation_id=stop.event_id,
        correlation_id=accepted.correlation_id or accepted.event_id,
    )


def _stop(submission: SubmissionState, record_type: type[Record], fields: Mapping[str, object], *parts: str) -> Draft:
    accepted, generation = submission.accepted, submission.generation
    shared = {"submission_id": accepted.submission_id, "experiment": accepted.experiment, "generation": generation}
    return Draft(
        record_type=record_type,
        event_id=derived_id(accepted.submission_id, record_type.__name__, generation, *parts),
        fields={**shared, **fields},
        causation_id=accepted.event_id,
        correlation_id=accepted.correlation_id or accepted.event_id,
    )
