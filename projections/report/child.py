"""Renders a report in a process of its own: it takes seconds and megabytes that an engine should not spend.

``python -m crucible.projections.report.child FOLDER`` reads a pickled report and its formats from standard input.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from crucible.errors import CrucibleError, ReadModelError
from crucible.projections.report.model import Report
from crucible.projections.report.render import render, require_renderers

RENDER_TIMEOUT_S = 600.0
"""Longest time that a report may take."""
PROBLEM_CHARACTERS_MAX = 500


def render_apart(report: Report, formats: Sequence[str], folder: Path) -> None:
    """Write the files of a report into a folder that is there, from a child process.

    Raises ``DependencyError`` if a package is missing, ``ReadModelError`` if the child fails.
    """
    require_renderers()
    command = [sys.executable, "-m", "crucible.projections.report.child", str(folder)]
    environment = {**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    given = pickle.dumps((report, list(formats)))
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, check=False, timeout=RENDER_TIMEOUT_S, env=environment
        )
    except subprocess.TimeoutExpired as error:
        message = f"the report was not rendered within {RENDER_TIMEOUT_S:g} s"
        raise ReadModelError(message) from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it ended without a word"]
        message = f"the report could not be rendered: {last[0][:PROBLEM_CHARACTERS_MAX]}"
        raise ReadModelError(message)


def main(arguments: Sequence[str]) -> int:
    """Render what standard input holds."""
    (folder,) = arguments
    report, formats = pickle.load(sys.stdin.buffer)  # noqa: S301  our own parent wrote it
    try:
        files = render(report, formats)
    except CrucibleError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, content in files.items():
        path = Path(folder) / name
        path.parent.mkdir(exist_ok=True)  # not the folder itself: if it is gone, nobody waits for this any more
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
