"""Virtual time: one timeline for all, and for each process a clock that may be wrong."""

START_US = 1_767_225_600_000_000
SKEW_MAX_US = 60_000_000
"""Clocks of processes are up to a minute off, either way."""


class Timeline:
    """Seconds since the simulation began."""

    def __init__(self):
        self.now_s = 0.0


class ProcessClock:
    """A process's clocks. What it sleeps inside of one step is owed until the step ends."""

    def __init__(self, timeline, skew_us):
        self._timeline = timeline
        self._skew_us = skew_us
        self._owed_s = 0.0

    def now_us(self):
        return START_US + self._skew_us + round((self._timeline.now_s + self._owed_s) * 1e6)

    def monotonic(self):
        return self._timeline.now_s + self._owed_s

    def sleep(self, seconds):
        self._owed_s += seconds

    def settle(self):
        """The seconds that the step took, to be waited before the next one."""
        owed_s, self._owed_s = self._owed_s, 0.0
        return owed_s
