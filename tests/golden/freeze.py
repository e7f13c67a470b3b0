"""Freezes the bytes of new versions of records: ``python -m tests.golden.freeze``.

For each version of each record there is, for ever: ``<Record>.v<version>.avsc`` (its schema), ``.hex`` (two frames, a
line each) and ``.json`` (what they say). What is frozen is never written again; a version that has not been published
yet may be deleted here and frozen anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from crucible.codec import encode
from crucible.records import RECORD_TYPES
from crucible.records.schema import schema_versions
from tests.golden.form import marked
from tests.golden.sample import sample

FOLDER = Path(__file__).resolve().parent
VARIANTS = (0, 1)


def freeze() -> list[str]:
    """Freeze the newest version of each record if it is not; gives the names of what was frozen."""
    frozen = []
    for name in sorted(RECORD_TYPES):
        versions = schema_versions(name)
        version = max(versions)
        base = f"{name}.v{version}"
        if (FOLDER / f"{base}.avsc").exists():
            continue
        samples = [sample(name, variant) for variant in VARIANTS]
        write(f"{base}.avsc", json.dumps(versions[version].tree, indent=2))
        write(f"{base}.hex", "\n".join(encode(record).hex() for record in samples))
        text = json.dumps([marked(vars(record)) for record in samples], indent=1, ensure_ascii=False, allow_nan=False)
        write(f"{base}.json", text)
        frozen.append(base)
    return frozen


def write(name: str, text: str) -> None:
    """Write a file that must not be there."""
    with (FOLDER / name).open("x", encoding="utf-8") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    sys.stdout.write("".join(f"frozen: {name}\n" for name in freeze()))
