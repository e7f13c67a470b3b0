"""The log in memory under faults, and journals over it that hand records on as they are (the codec has tests of its own)."""

import hashlib

from crucible.errors import AppendUnknownError, LogError
from crucible.journal import Entry, Journal
from crucible.log.memory import MemoryLog
from crucible.log.protocol import Batch, Outgoing
from tests.simulation.faults import KilledError, SuspendedError


class SimLog(MemoryLog):
    """Keeps every record by number, tells a judge of each in the order of the appends, and may be down."""

    def __init__(self, partitions, seed, clock, judge):
        super().__init__(partitions, seed, clock=clock)
        self.records = []
        self.version = 0
        self.is_down = False
        self.trace = hashlib.sha256()
        self.next_fault = None
        self.choose_fault = self._take_fault
        self._judge = judge

    def read(self, topic, partition, offset, limit=10_000):
        self._require_up()
        return super().read(topic, partition, offset, limit)

    def end(self, topic, partition):
        self._require_up()
        return super().end(topic, partition)

    def append(self, batches):
        if self.is_down:
            raise AppendUnknownError("the log does not answer")
        return super().append(batches)

    def _require_up(self):
        if self.is_down:
            raise LogError("the log does not answer")

    def _take_fault(self, _batches):
        fault, self.next_fault = self.next_fault, None
        return fault

    def _store(self, batch):
        appended = super()._store(batch)
        self.version += 1
        for value in batch.values:
            self.trace.update(f"{batch.topic}{appended.partition} {value.event_id} {value.record_type}\n".encode())
            if batch.topic == "events":
                self._judge.see(self.records[int(value.value)])
        return appended


class SimJournal(Journal):
    """A process's journal. With ``faults``, an append may be struck, and the process with it."""

    def __init__(self, log, *, clock, ids, actor, faults=None):
        super().__init__(log, clock=clock, ids=ids, actor=actor)
        self._faults = faults
        self._role = actor.partition(" ")[0]

    def send(self, batches, log_fault=None):
        """Write batches, and let this happen to the first try."""
        self.log.next_fault = log_fault
        try:
            return self._send(batches)
        finally:
            self.log.next_fault = None

    def append_under(self, log_fault, *records):
        """Append one batch, and let this happen to the first try."""
        self.send([self._batch(records)], log_fault)

    def _batch(self, records):
        values = []
        for record in records:
            self.log.records.append(record)
            number = str(len(self.log.records) - 1).encode()
            values.append(Outgoing(event_id=record.event_id, record_type=type(record).__name__, value=number))
        return Batch(topic=records[0].TOPIC, key=records[0].key, values=values)

    def read(self, topic, partition, offset, limit=10_000):
        stored = self.log.read(topic, partition, offset, limit)
        return [Entry(each, self.log.records[int(each.value)], None) for each in stored]

    def _append(self, records):
        batches = [self._batch(each) for each in records]
        names = [batch.values[0].record_type for batch in batches]
        strike = self._faults.strike(self._role, names) if self._faults is not None else None
        if strike is None:
            return self._send(batches)
        if strike.kind == "pause":
            raise SuspendedError(strike.seconds, batches)
        if strike.log_fault is not None:
            return self.send(batches, strike.log_fault)
        count = strike.index + (strike.kind == "kill after")
        if count:
            self._send(batches[:count])
        raise KilledError(strike.kind)
