"""Files that are generated from the schemas, and the check that they are current."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

Files = Mapping[Path, str]
"""Texts by path."""


def stale_files(files: Files, folder: Path | None = None) -> list[Path]:
    """Which files are missing or different, or stand in ``folder`` (if all in it is generated) and should not."""
    wrong = {path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text}
    others = set(folder.iterdir()) - set(files) if folder and folder.is_dir() else set()
    return sorted(wrong | others)


def main(arguments: Sequence[str], files: Files, folder: Path | None = None) -> int:
    """Write the files, or with ``--check`` say which are not current; the exit code is then 6 if one is not."""
    stale = stale_files(files, folder)
    is_check = "--check" in arguments
    for path in stale:
        sys.stdout.write(f"{'not current' if is_check else 'written'}: {path.name}\n")
        if is_check:
            continue
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], "utf-8")
        else:
            path.unlink()
    return 6 if stale and is_check else 0
