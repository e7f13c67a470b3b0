"""Appends of many writers, followed and checked: what was acknowledged is there, once and in order."""

import collections
import random
import threading
import time

from crucible.errors import AppendUnknownError, LogUnreachableError
from crucible.log.protocol import Batch, Outgoing

RETRY_S = 0.2
REOPEN_S = 7.0
PAUSE_S_MAX = 0.02
"""Between two appends of a writer."""


class Writer(threading.Thread):
    """Appends batches of one key, each one until it is acknowledged, as a journal does: with the same ids."""

    def __init__(self, log, key, *, seed, records_max):
        super().__init__(name=f"writer {key}")
        self._log = log
        self._chance = random.Random(seed)
        self._records_max = records_max
        self.key = key
        self.acknowledged = []
        """(partition, offset, id) of each value that the log said it has."""
        self.unknown = self.unreachable = 0
        self.longest_s = 0.0
        self.stopped = threading.Event()
        self.error = None

    def run(self):
        number = 0
        try:
            while not self.stopped.is_set():
                count = self._chance.randint(1, self._records_max)
                ids = [f"{self.key}:{number + each}" for each in range(count)]
                number += count
                self._append(
                    Batch("events", self.key, [Outgoing(each, "Value", each.encode() + b" " * 150) for each in ids]),
                    ids,
                )
                time.sleep(self._chance.random() * PAUSE_S_MAX)
        except BaseException as error:
            self.error = error

    def _append(self, batch, ids):
        started = time.monotonic()
        while True:
            try:
                (place,) = self._log.append([batch])
            except AppendUnknownError:
                self.unknown += 1
            except LogUnreachableError:
                self.unreachable += 1
                time.sleep(RETRY_S)
            else:
                break
        self.longest_s = max(self.longest_s, time.monotonic() - started)
        self.acknowledged += [(place.partition, place.first_offset + each, name) for each, name in enumerate(ids)]


class Follower(threading.Thread):
    """Reads all partitions as they grow; now and then it goes on where it was as another process would."""

    def __init__(self, open_log):
        super().__init__(name="follower")
        self._open_log = open_log
        self._log = open_log()
        self.offsets = {("events", partition): 0 for partition in self._log.partitions("events")}
        self.seen = collections.defaultdict(list)
        self.unreachable = 0
        self.longest_s = 0.0
        self.stopped = threading.Event()
        self.error = None

    def run(self):
        try:
            reopened = time.monotonic()
            while not self.stopped.is_set():
                if time.monotonic() - reopened > REOPEN_S:
                    self._reopen()
                    reopened = time.monotonic()
                self._log.wait(self.offsets, 0.25)
                self._read()
        except BaseException as error:
            self.error = error
        finally:
            self._log.close()

    def _reopen(self):
        self._log.close()
        while not self.stopped.is_set():
            try:
                self._log = self._open_log()
            except LogUnreachableError:
                self.unreachable += 1
                time.sleep(RETRY_S)
            else:
                return

    def _read(self):
        for key, offset in self.offsets.items():
            started = time.monotonic()
            try:
                page = self._log.read(*key, offset)
            except LogUnreachableError:
                self.unreachable += 1
                continue
            self.longest_s = max(self.longest_s, time.monotonic() - started)
            if page:
                self.seen[key] += page
                self.offsets[key] = page[-1].offset + 1


def read_whole(log):
    """All values, by partition."""
    found = {}
    for partition in log.partitions("events"):
        key = ("events", partition)
        values, end = [], log.end(*key)
        while len(values) < end:
            values += log.read(*key, len(values))
        found[key] = values
    return found


def violations(acknowledged, whole, seen):
    """What of the promise does not hold, and how many raw repeats there are.

    ``acknowledged`` is what writers were told, by key; ``whole`` what the log holds in the end, ``seen`` what a follower
    has read meanwhile.
    """
    problems = []
    names = {key: [stored.value.rstrip().decode() for stored in values] for key, values in whole.items()}
    for told in acknowledged.values():
        for partition, offset, name in told:
            held = names[("events", partition)]
            if offset >= len(held) or held[offset] != name:
                problems.append(f"{name} was acknowledged at {partition}:{offset} and is not there")
    repeats = 0
    for key, held in names.items():
        last = collections.Counter()
        for name in held:
            writer, _, number = name.rpartition(":")
            if int(number) < last[writer]:
                repeats += 1
            elif int(number) == last[writer]:
                last[writer] += 1
            else:
                problems.append(f"{name} stands in {key} before {writer}:{last[writer]}")
                last[writer] = int(number) + 1
    problems += [
        f"a follower has seen {len(values)} values of {key}, of which others are there now"
        for key, values in seen.items()
        if values != whole[key][: len(values)]
    ]
    problems += [
        f"a follower has seen {len(seen[key])} values of {key}, there are {len(values)}"
        for key, values in whole.items()
        if len(seen[key]) != len(values)
    ]
    return problems, repeats
