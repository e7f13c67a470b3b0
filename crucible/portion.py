"""Portions: the partitions of telemetry that one of several read models holds, when it is too much for a single one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from crucible.errors import UsageError

PARTITIONS_MAX = 10_000
"""Most partitions of a topic."""
EXPECTED = "partitions of telemetry, for example 0-2,5"
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


@dataclasses.dataclass(frozen=True, slots=True)
class Portion:
    """Some partitions of telemetry, at least one."""

    partitions: tuple[int, ...]
    """Sorted, each once."""

    @classmethod
    def of(cls, partitions: Iterable[int]) -> Portion:
        """The portion of these partitions."""
        return cls(tuple(sorted(set(partitions))))

    @classmethod
    def parse(cls, text: str, name: str = "--telemetry") -> Portion:
        """The portion that ``str`` wrote, or a person: ``0-2,5``. Raises ``UsageError`` with every problem."""
        found: list[int] = []
        problems = []
        for part in text.split(","):
            match = _RANGE.fullmatch(part.strip())
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if match is None or last >= PARTITIONS_MAX:
                problems.append(f"{name} {text!r:.80}: {part.strip()!r:.40} is none of the {EXPECTED}")
            elif last < first:
                problems.append(f"{name} {text!r:.80}: {part.strip()!r:.40} ends before it begins")
            else:
                found += range(first, last + 1)
        twice = sorted({number for number in found if found.count(number) > 1}) if len(found) < PARTITIONS_MAX else []
        problems += [f"{name} {text!r:.80}: {number} is named twice" for number in twice]
        if problems:
            raise UsageError("\n".join(problems))
        return cls.of(found)

    def __str__(self) -> str:
        """``0-2,5``."""
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self._ranges())

    def __contains__(self, partition: int) -> bool:
        """Whether it holds a partition."""
        return partition in self.partitions

    def _ranges(self) -> Iterator[tuple[int, int]]:
        first = last = self.partitions[0]
        for number in self.partitions[1:]:
            if number > last + 1:
                yield first, last
                first = number
            last = number
        yield first, last
