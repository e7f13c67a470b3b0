"""Where the code of an experiment is on this host: it was submitted on one that may have it elsewhere."""

from __future__ import annotations

from pathlib import Path


def local_code(path: str, home: Path) -> Path | None:
    """The file that was submitted as ``path``: there, else where the end of that path leads below ``home``.

    Of several ends the longest counts. Whether it is the same code is for its digest to say. None: there is no file.
    """
    given = Path(path)
    if given.is_file():
        return given
    ends = (home.joinpath(*given.parts[start:]) for start in range(1, len(given.parts)))
    return next((candidate for candidate in ends if candidate.is_file()), None)
