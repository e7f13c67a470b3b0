"""What is different where a submission is made now: whatever may make results differ, with both sides shown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crucible.blobs import BlobStore
from crucible.errors import BlobError
from crucible.repository import GitError, changed_between

NAMES_SHOWN_MAX = 20
"""Of a list of packages or files, the first ones that are named."""
MACHINE = {
    "processor": ("cpu", "model"),
    "processor's feature level": ("cpu", "level"),
    "processors": ("cpu", "count"),
    "usable processors": ("cpu", "usable"),
    "machine": ("machine",),
    "system": ("system",),
    "Python": ("python",),
    "Python's implementation": ("python_implementation",),
}
"""What is compared as a whole, and where it stands in ``environment_json``."""
_SECTION = re.compile(rb"^diff --git a/(.+?) b/.*$", re.MULTILINE)


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any], blobs: BlobStore) -> list[str]:
    """A line for each difference. What one side did not record is not compared."""
    lines = []
    for title, path in MACHINE.items():
        old, new = _at(before, path), _at(now, path)
        if old is not None and new is not None and old != new:
            lines.append(f"{title}: {new}; it was {old}")
    for title, path in {"thread variable": ("threads", "variables"), "variable": ("variables",)}.items():
        lines += _differences(title, *(_without_places(_at(side, path)) for side in (before, now)))
    lines += _threads(_at(before, ("threads", "libraries")), _at(now, ("threads", "libraries")))
    return lines + _differences("package", _packages(before, blobs), _packages(now, blobs))


def code_changes(
    before: Mapping[str, Any], now: Mapping[str, Any], folder: Path, blobs: BlobStore
) -> tuple[list[str], str | None]:
    """The files that differ between two recorded states of a repository; why they are not known, if so.

    From the commits that were recorded, and from the patches of what had not been committed.
    """
    git = [_at(each, ("git",)) or {} for each in (before, now)]
    commits = [each.get("commit") for each in git]
    if None in commits:
        return [], "which files differ is not known: no commit was recorded"
    try:
        names = set(changed_between(folder, str(commits[0]), str(commits[1]))) if commits[0] != commits[1] else set()
        patches = [_sections(each.get("diff_blob"), blobs) for each in git]
    except (GitError, BlobError) as error:
        return [], f"which files differ is not known: {error}"
    names |= {name for name in {*patches[0], *patches[1]} if patches[0].get(name) != patches[1].get(name)}
    if not names:
        return [], "no file that git knows differs: look at installed packages and at files that git ignores"
    return sorted(names), None


def shortened(names: Sequence[str]) -> str:
    """Names in one line, the first ones if there are many."""
    more = f" and {len(names) - NAMES_SHOWN_MAX} more" if len(names) > NAMES_SHOWN_MAX else ""
    return ", ".join(names[:NAMES_SHOWN_MAX]) + more


def _differences(title: str, before: Any, now: Any) -> list[str]:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return []
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    lines = [
        f"{title} {name}: {now.get(name, 'none')}; it was {before.get(name, 'none')}"
        for name in names[:NAMES_SHOWN_MAX]
    ]
    if len(names) > NAMES_SHOWN_MAX:
        lines.append(f"and {len(names) - NAMES_SHOWN_MAX} more {title}s")
    return lines


def _without_places(variables: Any) -> Any:
    """Variables but Crucible's own, which say where things lie and what is printed."""
    if not isinstance(variables, dict):
        return variables
    return {name: value for name, value in variables.items() if not name.startswith("CRUCIBLE_")}


def _threads(before: Any, now: Any) -> list[str]:
    """Numeric libraries that both sides had loaded; which ones are loaded by then says nothing."""
    old, new = (
        {(each.get("user_api"), each.get("internal_api")): each for each in side or ()} for side in (before, now)
    )
    return [
        f"{key[1]} ({key[0]}): {json.dumps(new[key])}; it was {json.dumps(old[key])}"
        for key in sorted(old.keys() & new.keys(), key=str)
        if old[key] != new[key]
    ]


def _packages(environment: Mapping[str, Any], blobs: BlobStore) -> Any:
    """Versions by name of what was installed; None if that was not recorded, or its blob is gone."""
    if environment.get("packages") is not None or environment.get("packages_blob") is None:
        return environment.get("packages")
    try:
        return json.loads(blobs.get_bytes(str(environment["packages_blob"])))
    except BlobError:
        return None


def _sections(blob: str | None, blobs: BlobStore) -> dict[str, bytes]:
    """The part of a patch that is about each file."""
    if blob is None:
        return {}
    patch = blobs.get_bytes(blob)
    starts = list(_SECTION.finditer(patch))
    ends = [*(start.start() for start in starts[1:]), len(patch)]
    return {
        start[1].decode(errors="replace"): patch[start.start() : end] for start, end in zip(starts, ends, strict=True)
    }


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
