"""The command of a page of the documentation that is made from the code: print it, bring it up to date, or check it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def run_page_command(
    module: str, description: str | None, path: Path, page: Callable[[str], str], arguments: Sequence[str] | None
) -> int:
    """Do what ``arguments`` (None: those of the process) of ``python -m MODULE`` ask; the exit code.

    ``page`` makes the whole text from the one that stands at the path, empty if there is none.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--write", type=Path, nargs="?", const=path, metavar="PATH", help=f"write it to {path}")
    parser.add_argument("--check", type=Path, nargs="?", const=path, metavar="PATH", help=f"compare with {path}")
    chosen = parser.parse_args(arguments)
    place = chosen.check or chosen.write or path
    current = place.read_text(encoding="utf-8") if place.is_file() else ""
    text = page(current)
    if chosen.check is not None:
        if current == text:
            return 0
        sys.stderr.write(f"{place} is not what the code gives: python -m {module} --write\n")
        return 1
    if chosen.write is not None:
        place.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0
