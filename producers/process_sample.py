"""What the processes of a stage use, from ``/proc``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from pathlib import Path

PROC = Path("/proc")
STATE_FIELDS = 22
"""How many fields of ``/proc/<pid>/stat`` after the name are read (proc_pid_stat(5))."""


@dataclasses.dataclass(frozen=True, slots=True)
class GroupUsage:
    """What a process group uses."""

    cpu_seconds: float
    """CPU time of its living processes and of the ended ones that they waited for."""
    memory_bytes: int
    """Resident memory; pages that processes share count for each."""


def measure_groups(groups: Collection[int], *, leaders_only: bool = False) -> dict[int, GroupUsage]:
    """The usage of each process group that has a living process. Empty where there is no ``/proc``.

    With ``leaders_only`` only the process that gave a group its number is looked at, which is quick.
    """
    ticks_per_second = os.sysconf("SC_CLK_TCK")
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    totals: dict[int, tuple[int, int]] = {}
    for name in (str(group) for group in groups) if leaders_only else _process_names():
        fields = _stat_fields(name)
        if fields is None or (group := int(fields[2])) not in groups:
            continue
        ticks, pages = totals.get(group, (0, 0))
        # utime, stime, cutime, cstime are fields 14 to 17 of the page, rss is field 24; the name is field 2
        totals[group] = (ticks + sum(int(field) for field in fields[11:15]), pages + max(int(fields[21]), 0))
    return {group: GroupUsage(ticks / ticks_per_second, pages * page_bytes) for group, (ticks, pages) in totals.items()}


def _process_names() -> list[str]:
    return [entry.name for entry in os.scandir(PROC) if entry.name.isdecimal()] if PROC.is_dir() else []


def _stat_fields(pid: str) -> list[str] | None:
    """The fields after the process's name, which may hold anything; None if the process is gone."""
    try:
        text = (PROC / pid / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) >= STATE_FIELDS else None
