"""The content of dataset files as it is when an experiment is submitted: a changed file is another input."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crucible.definition.model import Definition


def dataset_file_digests(definition: Definition, folder: Path) -> dict[str, str]:
    """The SHA-256 of the file of each dataset that no digest pins, by dataset name.

    Paths start at ``folder``, that of the file which defines the experiment. A file that can't be read is left out:
    the stage that reads it says so, and what it would have given is never taken from another run.
    """
    from crucible.datasets.files import FILE_BYTES_MAX, is_file_source

    found: dict[str, str] = {}
    for name, reference in sorted(definition.datasets.items()):
        path = folder / reference.source
        if reference.digest is not None or not is_file_source(reference.source):
            continue
        try:
            if path.stat().st_size <= FILE_BYTES_MAX:
                with path.open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            continue
    return found
