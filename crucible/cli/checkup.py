"""What ``crucible doctor`` looks at first: the interpreter, the compiled parts and the limits of this process."""

from __future__ import annotations

import dataclasses
import importlib
import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from typing import Any, Final, Literal

from crucible.version import VERSION

PYTHON_MIN: Final = (3, 11)
FILES_MIN: Final = 1_024
"""Open files of a process below which a large grid may run out of them."""

State = Literal["fine", "warning", "problem"]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    text: str
    advice: str = ""
    """What to do; empty where there is nothing to do."""

    @property
    def facts(self) -> dict[str, Any]:
        """As a mapping."""
        return dataclasses.asdict(self)


def installation() -> Iterator[Finding]:
    """Everything that has nothing to do with a log."""
    yield _python()
    yield from _compiled()
    yield _sqlite()
    yield _git()
    yield _threads()
    yield _limits()


def _python() -> Finding:
    text = f"crucible {VERSION}, {platform.python_implementation()} {platform.python_version()}, {platform.platform()}"
    if sys.version_info < PYTHON_MIN:
        return Finding("python", "problem", text, "install Python 3.11 or newer")
    if not sys.platform.startswith("linux"):
        return Finding("python", "warning", text, "only Linux is tested: stages are forked, and locks are Linux's")
    return Finding("python", "fine", text)


def _compiled() -> Iterator[Finding]:
    """Packages whose compiled parts are needed for speed, or at all."""
    for name in ("duckdb", "pyarrow", "numpy", "fastavro", "google_crc32c", "apsw"):
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            advice = "install crucible-experiments again, for this Python"
            yield Finding(name, "problem", f"can't be imported: {error}", advice)
            continue
        version = getattr(module, "__version__", None) or (module.apsw_version() if name == "apsw" else "installed")
        if _is_slow(name, module):
            advice = f"without its compiled part it is many times slower: pip install --force-reinstall {name}"
            yield Finding(name, "warning", f"{version}, pure Python", advice)
        else:
            yield Finding(name, "fine", str(version))


def _is_slow(name: str, module: Any) -> bool:
    if name == "google_crc32c":
        return bool(module.implementation != "c")
    if name == "fastavro":
        return not str(getattr(importlib.import_module("fastavro._read"), "__file__", "")).endswith(".so")
    return False


def _sqlite() -> Finding:
    from crucible.errors import LogRefusedError

    try:
        import apsw

        from crucible.log.database import check_sqlite

        check_sqlite()
    except (ImportError, LogRefusedError) as error:
        return Finding("sqlite", "problem", str(error), "pip install --upgrade apsw")
    return Finding("sqlite", "fine", f"{apsw.sqlite_lib_version()}, after the WAL-reset bug was mended")


def _git() -> Finding:
    found = shutil.which("git")
    if found is None:
        return Finding(
            "git", "warning", "there is no git program", "install git: submissions then record commit and diff"
        )
    return Finding("git", "fine", found)


def _threads() -> Finding:
    count = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    said = {name: os.environ[name] for name in names if name in os.environ}
    text = f"{usable} of {count} CPUs; " + (
        ", ".join(f"{n}={v}" for n, v in said.items()) or "no variable limits threads"
    )
    wrong = [name for name, value in said.items() if not value.split(",")[0].strip().isdigit()]
    if wrong:
        return Finding("threads", "warning", text, f"{', '.join(wrong)}: expected a whole number")
    greedy = [name for name, value in said.items() if int(value.split(",")[0]) > usable]
    if greedy:
        return Finding("threads", "warning", text, f"{', '.join(greedy)} asks for more threads than there are CPUs")
    return Finding("threads", "fine", text)


def _limits() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES_MIN:
        return Finding("open files", "warning", f"{soft} at most", f"ulimit -n {FILES_MIN} or more")
    return Finding("open files", "fine", "no limit" if soft == resource.RLIM_INFINITY else f"{soft} at most")
