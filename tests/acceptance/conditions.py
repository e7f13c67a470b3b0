"""Conditions under which a command is started: without a privilege, with small files, with a closed stream."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import TIMEOUT_S, Project

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER = 1, 2, 3
PR_CAPBSET_DROP = 24

Condition = Callable[[], None]


def heeds_permissions() -> None:
    """As for any user: root is without the right to read and write everything."""
    if os.geteuid() == 0:
        library = ctypes.CDLL(None)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER):
            library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def small_files(bytes_max: int) -> Condition:
    """No file can grow above this: the system answers EFBIG, as a full disk answers ENOSPC."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))


def closed(*numbers: int) -> Condition:
    """These standard streams are closed."""
    return lambda: [os.close(number) for number in numbers][:0] and None


def run_under(
    project: Project,
    condition: Condition,
    *arguments: str,
    code: int | None = 0,
    cwd: Path | None = None,
    **environ: str,
) -> subprocess.CompletedProcess[str]:
    """As ``Project.run``, under a condition."""
    done = subprocess.run(
        [sys.executable, "-m", "crucible", *arguments], cwd=cwd or project.folder, env={**project.environ, **environ},
        capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        preexec_fn=condition,
    )  # fmt: skip
    if code is not None:
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def shell(project: Project, command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, in which ``crucible`` is the command line."""
    text = f'crucible() {{ "{sys.executable}" -m crucible "$@"; }}; set -o pipefail; {command}'
    return subprocess.run(
        ["bash", "-c", text], cwd=project.folder, env={**project.environ, **environ},
        capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def copy_of(project: Project, folder: Path) -> Project:
    """The same project at another place."""
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
