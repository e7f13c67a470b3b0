"""The pace of a stage: its steps, when a checkpoint is due, and when it is to stop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from crucible.board import Board, Wish
from crucible.errors import StageCanceledError, UsageError

Item = TypeVar("Item")
_NONE: Any = object()


class Pace:
    """Counts steps and asks the board between two of them.

    A stage that is to drain gets one more step if it has ever asked whether a checkpoint is due, so that it can save
    one: `is_checkpoint_due` is true then.
    """

    def __init__(
        self, board: Board, monotonic: Callable[[], float], *, checkpoint_every_ms: int, steps_max: int | None
    ) -> None:
        """Begin now; the first checkpoint is due ``checkpoint_every_ms`` from here."""
        self._board = board
        self._monotonic = monotonic
        self._checkpoint_every_s = checkpoint_every_ms / 1000
        self._steps_max = steps_max
        self._saved_at = monotonic()
        self._saved_step: int | None = None
        self._has_asked = False
        self._was_told_to_drain = False
        self._has_last_chance = False
        self._is_last = False
        self.step = 0
        """The step that is being done, from 1; 0: none."""

    def is_checkpoint_due(self) -> bool:
        """Whether to save now: the interval has passed, this is the last step, or the worker drains."""
        self._has_asked = True
        if self.step and self._saved_step == self.step:
            return False
        if self._board.wish is Wish.DRAIN:
            self._was_told_to_drain = True
            return True
        return self._is_last or self._monotonic() - self._saved_at >= self._checkpoint_every_s

    def note_saved(self, step: int) -> None:
        """A checkpoint of this step is durable."""
        self._saved_at = self._monotonic()
        self._saved_step = step
        self._board.report_progress()

    def check(self) -> None:
        """Raise ``StageCanceledError`` if the stage is to stop here."""
        if self._board.is_calm:
            return
        wish = self._board.wish
        if wish is Wish.CANCEL:
            message = f"the run is canceled; stopped after step {self.step}"
            raise StageCanceledError(message)
        if self._has_asked and not self._was_told_to_drain and not self._has_last_chance:
            self._has_last_chance = True
            return
        message = f"the worker drains; stopped after step {self.step}, another worker goes on"
        raise StageCanceledError(message)

    def steps(self, iterable: Iterable[Item], *, start: int, total: int | None) -> Iterator[tuple[int, Item]]:
        """Discard ``start`` items, then give each next one with its step from ``start + 1`` on."""
        if start < 0:
            message = f"start={start}: the number of steps done can't be negative"
            raise UsageError(message)
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        items = itertools.islice(iter(iterable), start, None)
        limit = self._limit(total)
        if limit is None:
            yield from self._looking_ahead(items, start)
        else:
            yield from self._known(items, start, limit)

    def _limit(self, total: int | None) -> int | None:
        """The last step, if it is known before it comes."""
        known = [count for count in (total, self._steps_max) if count is not None]
        return min(known) if total is not None else None

    def _known(self, items: Iterator[Item], start: int, limit: int) -> Iterator[tuple[int, Item]]:
        """Steps whose end is known: no item is taken before its turn."""
        for step in range(start + 1, limit + 1):
            self.check()
            item = next(items, _NONE)
            if item is _NONE:
                return
            yield self._begin(step, is_last=step == limit), item
            self._board.report_step(step)

    def _looking_ahead(self, items: Iterator[Item], start: int) -> Iterator[tuple[int, Item]]:
        """Steps of unknown number: one item is taken ahead, so that the last step is known to be the last."""
        ahead = _Ahead(items)
        step = start
        while not ahead.is_exhausted and step != self._steps_max:
            self.check()
            item = ahead.take(is_last=step + 1 == self._steps_max)
            step += 1
            yield self._begin(step, is_last=ahead.is_exhausted or step == self._steps_max), item
            self._board.report_step(step)

    def _begin(self, step: int, *, is_last: bool) -> int:
        self.step = step
        self._is_last = is_last
        return step


class _Ahead(Generic[Item]):
    """An iterator read one item ahead; an error while reading ahead is raised when its turn comes."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._error: Exception | None = None
        self._next: Item = next(items, _NONE)

    @property
    def is_exhausted(self) -> bool:
        return self._next is _NONE and self._error is None

    def take(self, *, is_last: bool) -> Item:
        if self._error is not None:
            raise self._error
        item, self._next = self._next, _NONE
        if not is_last:
            try:
                self._next = next(self._items, _NONE)
            except Exception as error:  # noqa: BLE001  it belongs to the next step
                self._error = error
        return item
