"""Answers commands and asks for what is missing: the processor that drives every run from its cell to its end.

Each tick reads to the end of the log, then computes from the folded state alone what is to be written. Nothing that a
manager remembers matters: a second one, or the next after kill -9, writes the same ids, and the fold takes the first.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence

from crucible.errors import LogCorruptError, LogError, LogRefusedError
from crucible.journal import Journal
from crucible.log.protocol import PartitionKey
from crucible.logger import warning
from crucible.ports import Clock
from crucible.position import Position
from crucible.processors.follower import Follower, Read
from crucible.records.record import Record
from crucible.rules.agenda import Agenda
from crucible.rules.blueprint import Blueprints, DefinitionBlueprints
from crucible.rules.decide import NEEDS_POSITION, decide, is_early
from crucible.rules.draft import Draft
from crucible.rules.finished import HasBlobs, has_no_blobs
from crucible.rules.world import World

IDLE_S = 0.1
"""Longest wait for something new in one tick of `Manager.run`: how soon it notices that it is to stop."""
LINGER_S = 0.005
"""Pause after a tick while workers have enough to do: the next tick writes more at once."""
BACKOFF_S = 0.2
"""Pause after the log failed; doubles up to `BACKOFF_MAX_S`."""
BACKOFF_MAX_S = 5.0


class RetryTimer:
    """When failed stages are tried again, on a clock of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_s: dict[tuple[str, str, int], float] = {}
        self._heap: list[tuple[float, tuple[str, str, int]]] = []
        self._told: list[tuple[str, str, int]] = []

    def __call__(self, run_id: str, stage: str, attempt: int, delay_s: float) -> bool:
        """True once ``delay_s`` has passed since the first call for this attempt."""
        key = (run_id, stage, attempt)
        due_s = self._due_s.get(key)
        now_s = self._clock.monotonic()
        if due_s is None:
            self._due_s[key] = now_s + delay_s
            heapq.heappush(self._heap, (now_s + delay_s, key))
            return False
        if now_s < due_s:
            return False
        del self._due_s[key]
        return True

    def due(self) -> list[str]:
        """Runs with a retry whose delay has passed, each told once: the plan that follows asks for it, or none does."""
        for key in self._told:
            self._due_s.pop(key, None)
        now_s = self._clock.monotonic()
        self._told = []
        while self._heap and self._heap[0][0] <= now_s:
            self._told.append(heapq.heappop(self._heap)[1])
        return [run_id for run_id, _, _ in self._told]

    def wait_s(self, most_s: float) -> float:
        """Seconds until the next delay has passed, at most ``most_s``."""
        if not self._heap:
            return most_s
        return min(most_s, max(0.0, self._heap[0][0] - self._clock.monotonic()))


class Manager:
    """Turns commands and what has happened into what is to happen next. For one thread."""

    def __init__(
        self, journal: Journal, *, blueprints: Blueprints | None = None, has_blobs: HasBlobs = has_no_blobs
    ) -> None:
        """``has_blobs`` tells whether the files of a finished stage are there, so that its result can be used again."""
        self._journal = journal
        self._has_blobs = has_blobs
        self._blueprints = blueprints if blueprints is not None else DefinitionBlueprints()
        self._warned: set[str] = set()
        self._start()

    @property
    def world(self) -> World:
        """What the manager has read so far."""
        return self._follower.world

    @property
    def has_work(self) -> bool:
        """Another tick would write something though nothing new is on the log."""
        early = sum(is_early(self.world, command) for command in self._commands.values())
        return self._agenda.has_work or len(self._commands) - early > len(self._answering)

    def wait_s(self, most_s: float) -> float:
        """Seconds until a tick may write something though nothing new is on the log, at most ``most_s``."""
        if self.has_work:
            return 0.0
        return self._agenda.wait_s(self._journal.clock.monotonic(), self._retries.wait_s(most_s))

    def read(self) -> None:
        """Read to the end of the log and write nothing."""
        self._follower.catch_up(self._note)

    def run(self, stop: threading.Event) -> None:
        """Tick until ``stop`` is set. A log that fails is tried again; one that is damaged ends it."""
        backoff_s = BACKOFF_S
        while not stop.is_set():
            try:
                self.tick(self.wait_s(IDLE_S))
                backoff_s = BACKOFF_S
                if self._agenda.is_ahead:
                    stop.wait(LINGER_S)
            except LogCorruptError:
                raise
            except LogError as error:
                _warn("the log failed; the manager starts over", error=str(error), pause_s=backoff_s)
                stop.wait(backoff_s)
                backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    def tick(self, timeout_s: float = 0.0) -> int:
        """Read what is new, waiting for it up to ``timeout_s``; write what is missing. Returns how many records.

        Raises ``LogError`` when the log does not answer; the next tick then starts from the beginning.
        """
        try:
            for read in self._follower.wait(self._retries.wait_s(timeout_s)):
                self._note(read)
            asked = [*self._commands.values()]
            self._read_on()
            batches = self._decide(asked)
            for run_id in self._retries.due():
                self._agenda.wake(run_id)
            batches.extend(self._agenda.plan(self._retries, self._journal.clock.monotonic()))
            self._warn_unreadable()
            self._write(batches)
        except LogError:
            self._start()
            raise
        return sum(map(len, batches))

    def _start(self) -> None:
        self._follower = Follower(self._journal, ("commands", "events"))
        self._agenda = Agenda(self._follower.world, self._blueprints, self._has_blobs)
        self._retries = RetryTimer(self._journal.clock)
        self._commands: dict[str, Record] = {}
        """Commands that are not known to be done with, by event_id."""
        self._answering: set[str] = set()
        """Those whose answer was written and not yet read back."""
        self._is_behind = True
        """The ends of the log were not asked for since the last command was read."""

    def _read_on(self) -> None:
        """Read to the end of the log where that matters: at the start, and for commands that were just read.

        Whatever the author of a command had seen is known before it is decided on. Else what is known to be there is
        enough: what comes a moment later is for the next tick, and what is written meanwhile meets it in the fold.
        """
        if self._is_behind:
            self._is_behind = False
            self._follower.catch_up(self._note)
        else:
            self._follower.take_in(self._note)

    def _note(self, read: Read) -> None:
        record = read.record
        if record.TOPIC == "commands":
            self._is_behind = True
            self._commands.setdefault(record.event_id, record)
            return
        self._agenda.note(record, read.place)
        if record.causation_id in self._answering:
            self._answering.discard(record.causation_id)

    def _decide(self, commands: Sequence[Record]) -> list[list[Draft]]:
        """Answers, one command of a key at a time: the next one is decided on what the first one has made.

        ``commands`` were read before the ends of the log were asked for, so whatever their authors had seen is known.
        """
        batches: list[list[Draft]] = []
        keys: set[str] = {self._commands[command_id].key for command_id in self._answering}
        position = ""
        for command in commands:
            if command.event_id in self._answering or command.key in keys or is_early(self.world, command):
                continue
            if not position and isinstance(command, NEEDS_POSITION):
                position = str(self._position())
            drafts = decide(self.world, command, blueprints=self._blueprints, position=position)
            if not drafts:
                del self._commands[command.event_id]
                continue
            keys.add(command.key)
            self._answering.add(command.event_id)
            batches.append(list(drafts))
        return batches

    def _write(self, batches: Sequence[Sequence[Draft]]) -> None:
        """Append batches; one that the log can't take (too large) is left out and holds up nothing else."""
        stamped = [[self._journal.stamp(draft) for draft in batch] for batch in batches]
        try:
            self._journal.append_batches(stamped)
        except LogRefusedError:
            for batch in stamped:
                try:
                    self._journal.append(*batch)
                except LogRefusedError as error:
                    self._give_up(batch[0].causation_id)
                    _warn("the log does not take a batch", key=batch[0].key, error=str(error))

    def _give_up(self, command_id: str | None) -> None:
        """The answer to a command can't be written: later commands of its key do not wait for it."""
        if command_id in self._answering:
            self._answering.discard(command_id)
            del self._commands[command_id]

    def _warn_unreadable(self) -> None:
        for submission_id, problem in self._agenda.unreadable.items():
            if submission_id not in self._warned:
                self._warned.add(submission_id)
                _warn("a submission can't be read and is left alone", submission_id=submission_id, problem=problem)

    def _position(self) -> Position:
        """Where commands and events were read to, and where telemetry ends now."""
        log = self._journal.log
        telemetry: list[PartitionKey] = [("telemetry", partition) for partition in log.partitions("telemetry")]
        return Position({**self._follower.position.offsets, **log.ends(telemetry)})


def _warn(event: str, **values: object) -> None:
    warning("manager", event, **values)
