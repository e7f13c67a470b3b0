"""The git repository that a project lies in: commit, branch, and what differs from the commit.

``git`` is asked, never waited for: without it, outside of a repository, in one of another owner, or in one too large
to be looked through in time, there is an answer that says why. Nothing of the repository is changed, no hook and no
program of its configuration is started for this but filters of its files (as of Git LFS), without which git can't tell
what differs; remotes are never read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

GIT_TIMEOUT_S: Final = 2.0
"""Longest time of one call of git; a submission does not wait longer."""
STATUS_BYTES_MAX: Final = 4 << 20
DIFF_BYTES_MAX: Final = 2 << 20
"""Of a longer diff the beginning is kept, up to the last whole file."""
MESSAGE_CHARACTERS_MAX: Final = 200
NO_REPOSITORY: Final = "the project is in no git repository"
_NEEDED = ("HEAD", "objects", "refs")
"""Without these git takes a folder ``.git`` for none of its own, and says the same as where there is none at all."""

_OPTIONS = ("--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotepath=true", "-c", "color.ui=false")
_DIFF = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")


@dataclasses.dataclass(frozen=True, slots=True)
class Repository:
    """What git says of a folder."""

    root: Path | None = None
    """The folder of the repository; None: there is none, and ``problem`` says why."""
    commit: str | None = None
    """Hexadecimal; None before the first commit."""
    branch: str | None = None
    """None where no branch is checked out."""
    is_changed: bool | None = None
    """Whether a tracked file differs from the commit; None: not known."""
    untracked: tuple[str, ...] = ()
    """Files of the project that git does not know and does not ignore, as paths below ``root``, sorted."""
    problem: str | None = None
    """Why something is not known."""


class GitError(Exception):
    """git gave no answer; the text says why."""


def read_repository(folder: Path, apart: Sequence[Path] = ()) -> Repository:
    """What git says of ``folder``; files below the folders ``apart`` do not count."""
    try:
        root = Path(os.fsdecode(_ask(folder, ["rev-parse", "--show-toplevel"], STATUS_BYTES_MAX).rstrip(b"\n")))
    except GitError as error:
        said = str(error)
        return Repository(problem=(_broken(folder) or said) if said == NO_REPOSITORY else said)
    with _running(folder, _untracked_call(folder, apart)) as others:
        try:
            status = _ask(folder, ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no"])
        except GitError as error:
            return Repository(root=root, problem=str(error))
        try:
            names = _answer_of(others, STATUS_BYTES_MAX).split(b"\0")
            problem = None
        except GitError as error:
            names, problem = [], f"untracked files are not known: {error}"
    lines = status.split(b"\0")
    commit = _header(lines, b"# branch.oid ")
    branch = _header(lines, b"# branch.head ")
    below = os.path.relpath(folder.resolve(), root)
    prefix = "" if below == "." else f"{below}/"
    return Repository(
        root=root,
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        is_changed=any(line and not line.startswith(b"#") for line in lines),
        untracked=tuple(sorted(prefix + os.fsdecode(name) for name in names if name)),
        problem=problem,
    )


def _broken(folder: Path) -> str | None:
    """Why git does not take the nearest ``.git`` for a repository; None where there is none."""
    if "GIT_CEILING_DIRECTORIES" in os.environ:
        return None
    for parent in (folder, *folder.parents):
        try:
            why = _damage(parent / ".git")
        except OSError as error:
            why = f"can't be read: {error.strerror}"
        if why is not None:
            return f"git can't read the repository of {parent}: its .git {why}; restore it, or remove it"
    return None


def _damage(git: Path) -> str | None:
    """What is wrong with a ``.git``, which git does not take; None if there is none."""
    if git.is_file():
        target = git.read_text(errors="replace").strip().removeprefix("gitdir: ")
        return f"names {target[:MESSAGE_CHARACTERS_MAX]}, which is no repository"
    if not git.is_dir():
        return None
    missing = [name for name in _NEEDED if not (git / name).exists()]
    return f"lacks {' and '.join(missing)}" if missing else "is damaged"


def read_diff(folder: Path) -> tuple[bytes, bool]:
    """What tracked files differ in from the commit, as a patch, and whether it was cut. Raises ``GitError``."""
    with _running(folder, ["diff", "HEAD", *_DIFF]) as process:
        diff = _answer_of(process, DIFF_BYTES_MAX + 1, is_cut=True)
    if len(diff) <= DIFF_BYTES_MAX:
        return diff, False
    end = diff.rfind(b"\ndiff --git ", 0, DIFF_BYTES_MAX)
    return diff[: max(end + 1, 0)], True


def changed_between(folder: Path, before: str, after: str) -> list[str]:
    """The files that two commits differ in, as paths below the repository's folder. Raises ``GitError``."""
    names = _ask(folder, ["diff", "--name-only", "-z", before, after, "--"])
    return sorted(os.fsdecode(name) for name in names.split(b"\0") if name)


def _untracked_call(folder: Path, apart: Sequence[Path]) -> list[str]:
    inside = [path for path in apart if path != folder and path.is_relative_to(folder)]
    excluded = [f":(exclude,literal){path.relative_to(folder)}" for path in inside]
    return ["ls-files", "--others", "--exclude-standard", "-z", "--", ".", *excluded]


def _header(lines: Sequence[bytes], name: bytes) -> str | None:
    found = next((line for line in lines if line.startswith(name)), None)
    return None if found is None else os.fsdecode(found.removeprefix(name))


def _ask(folder: Path, words: Sequence[str], bytes_max: int = STATUS_BYTES_MAX) -> bytes:
    with _running(folder, words) as process:
        return _answer_of(process, bytes_max)


@contextlib.contextmanager
def _running(folder: Path, words: Sequence[str]) -> Iterator[subprocess.Popen[bytes] | GitError]:
    """A call of git that is ended with the block; the error if there is no such program."""
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        process = subprocess.Popen(
            ["git", *_OPTIONS, *words],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        yield GitError("there is no git program" if isinstance(error, FileNotFoundError) else f"git: {error.strerror}")
        return
    with process:
        try:
            yield process
        finally:
            process.kill()


def _answer_of(process: subprocess.Popen[bytes] | GitError, bytes_max: int, *, is_cut: bool = False) -> bytes:
    """What git printed, up to ``bytes_max``. Raises ``GitError``."""
    if isinstance(process, GitError):
        raise process
    assert process.stdout is not None
    assert process.stderr is not None
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        process.kill()

    timer = threading.Timer(GIT_TIMEOUT_S, end)
    timer.daemon = True
    errors: list[bytes] = []
    listener = threading.Thread(target=_drain, args=(process.stderr, errors), daemon=True)
    timer.start()
    listener.start()
    try:
        answer = process.stdout.read(bytes_max)
        if len(answer) >= bytes_max:
            if is_cut:
                return answer
            message = f"git has more to say than {bytes_max >> 20} MiB"
            raise GitError(message)
        code = process.wait()
        listener.join()
    finally:
        timer.cancel()
    if is_late.is_set():
        message = f"git took longer than {GIT_TIMEOUT_S:g} s"
        raise GitError(message)
    if code:
        raise GitError(_explained(b"".join(errors).decode(errors="replace")))
    return answer


def _drain(stream: IO[bytes], into: list[bytes]) -> None:
    """Read what git complains of, so that it never waits; only the beginning is kept."""
    while part := stream.read(65_536):
        if len(into) < 1:
            into.append(part)


def _explained(text: str) -> str:
    lowered = text.lower()
    if "not a git repository" in lowered:
        return NO_REPOSITORY
    if "dubious ownership" in lowered:
        return "the git repository belongs to someone else; git config --global --add safe.directory names it as safe"
    lines = [line for line in text.splitlines() if line.strip()]
    return f"git: {lines[0][:MESSAGE_CHARACTERS_MAX]}" if lines else "git failed without a word"
