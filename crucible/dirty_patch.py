"""What a project differs in from its commit, as one patch for ``git apply``, with secrets taken out.

Changed files come from git, files that git does not know are added as new ones. Files that are made to hold secrets
are left out whole, and so is what can't be searched for them.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import itertools
import os
import re
import stat
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final

from crucible.redaction import REMOVED, Redactor
from crucible.repository import Repository, read_diff

UNTRACKED_FILES_MAX: Final = 1_000
"""Files unknown to git that are looked at."""
UNTRACKED_FILE_BYTES_MAX: Final = 256 << 10
"""A larger one is data, not code."""
PATCH_BYTES_MAX: Final = 4 << 20
BINARY_BYTES_MAX: Final = 16 << 20
"""Most bytes that a binary change may unpack to, to be searched."""

_NAMES = """
    .env .env.* *.env *.pem *.key *.p12 *.pfx *.jks *.kdbx *.keystore *.gpg *.asc id_rsa* id_dsa* id_ecdsa*
    id_ed25519* .netrc _netrc .pgpass .pypirc .npmrc .htpasswd .git-credentials .dockercfg credentials credentials.*
    *credentials*.json secrets secrets.* *.secret *.secrets *secret*.json *secret*.y*ml service-account*.json kubeconfig
"""
_SECRET_FILES = tuple(_NAMES.split())
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", ".venv"})
_SECTION = re.compile(rb"^diff --git ", re.MULTILINE)
_NAME = re.compile(rb'diff --git "?a/.*? "?b/([^\n]*?)"?\n')
_SUBMODULE = re.compile(rb"^[-+]Subproject commit ([0-9a-f]+)", re.MULTILINE)
_DIRTY_SUBMODULE = re.compile(rb"^(\+Subproject commit [0-9a-f]+)-dirty$", re.MULTILINE)
_PLAIN = re.compile(r"[^\x00-\x1f\"\\\x7f]+")
_BINARY_LINE_BYTES = {
    **{ord("A") + number: number + 1 for number in range(26)},
    **{ord("a") + number: number + 27 for number in range(26)},
}
"""Length of a line of a binary patch by its first character."""


@dataclasses.dataclass(frozen=True, slots=True)
class Patch:
    """What differs."""

    data: bytes
    """The patch; empty if everything was left out."""
    left_out: tuple[str, ...]
    """Files that are not in it, each with the reason."""
    removed: int
    """Secrets that were taken out."""
    is_cut: bool
    """There was more than is kept."""


def make_patch(repository: Repository, project: Path, redactor: Redactor) -> Patch:
    """The patch from the repository's commit to what lies in ``project`` now. Raises ``GitError``."""
    assert repository.root is not None
    before = redactor.removed
    diff, is_cut = read_diff(project) if repository.is_changed and repository.commit else (b"", False)
    left_out: list[str] = []
    sections = [*_changed(diff, left_out, redactor)]
    names = repository.untracked[:UNTRACKED_FILES_MAX]
    is_cut |= len(names) < len(repository.untracked)
    size_bytes = sum(map(len, sections))
    for name in names:
        section = _added(repository.root, name, left_out, redactor)
        size_bytes += len(section)
        if size_bytes > PATCH_BYTES_MAX:
            is_cut = True
            break
        sections.append(section)
    removed = redactor.removed - before
    body = b"".join(sections)
    if not body and not left_out:
        return Patch(b"", (), removed, is_cut)
    return Patch(_head(repository, left_out, removed, is_cut=is_cut) + body, tuple(left_out), removed, is_cut)


def _head(repository: Repository, left_out: list[str], removed: int, *, is_cut: bool) -> bytes:
    lines = [f"# What differed from commit {repository.commit or '(none)'}, for git apply."]
    if removed:
        lines.append(f"# {removed} values that look like secrets were replaced by {REMOVED}: such lines may not apply.")
    if is_cut:
        lines.append("# There was more than is kept.")
    lines += [f"# left out: {each}" for each in left_out]
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def _changed(diff: bytes, left_out: list[str], redactor: Redactor) -> Iterator[bytes]:
    """The sections of a diff of git, one for each file."""
    starts = [found.start() for found in _SECTION.finditer(diff)]
    for start, end in itertools.pairwise([*starts, len(diff)]):
        section = diff[start:end]
        found = _NAME.match(section)
        name = found[1].decode(errors="backslashreplace") if found else "a file without a name"
        if _DIRTY_SUBMODULE.search(section):
            left_out.append(_reason(redactor, name, "changes inside a submodule"))
            section = _DIRTY_SUBMODULE.sub(rb"\1", section)
            if len(set(_SUBMODULE.findall(section))) > 1:
                yield section
        elif is_secret_file(name):
            left_out.append(_reason(redactor, name, "made to hold secrets"))
        elif b"\nGIT binary patch\n" in section:
            reason = _binary_problem(section, redactor)
            if reason is None:
                yield section
            else:
                left_out.append(_reason(redactor, name, reason))
        else:
            yield _cleaned(section, name, redactor)


def _added(root: Path, name: str, left_out: list[str], redactor: Redactor) -> bytes:
    """A file that git does not know, as a patch that adds it; empty if it is left out."""
    reason, data = _read(root, name)
    if reason is not None:
        if reason:
            left_out.append(_reason(redactor, name, reason))
        return b""
    head = f"diff --git a/{name} b/{name}\nnew file mode 100644\n"
    if not data:
        return f"{head}index 0000000..e69de29\n".encode()
    lines = data.split(b"\n")
    tail = b"" if lines[-1] == b"" else b"\n\\ No newline at end of file\n"
    lines = lines[:-1] if lines[-1] == b"" else lines
    hunk = f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{len(lines)} @@\n"
    body = b"\n".join(b"+" + line for line in lines) + (tail or b"\n")
    return _cleaned(f"{head}{hunk}".encode() + body, name, redactor)


def _read(root: Path, name: str) -> tuple[str | None, bytes]:
    """Why a file is left out (an empty text: not worth a word), and its content."""
    if _SKIPPED_FOLDERS.intersection(PurePosixPath(name).parts):
        return "", b""
    if is_secret_file(name):
        return "made to hold secrets", b""
    if not (_PLAIN.fullmatch(name) and name.isprintable()):
        return "a name that a patch can't carry", b""
    try:
        reason = _size_problem((root / name).lstat())
        data = b"" if reason else (root / name).read_bytes()
    except OSError as error:
        return f"can't be read: {error.strerror}", b""
    return ("binary" if not reason and _is_binary(data) else reason), data


def _size_problem(facts: os.stat_result) -> str | None:
    if not stat.S_ISREG(facts.st_mode):
        return "no plain file"
    return f"{facts.st_size} bytes" if facts.st_size > UNTRACKED_FILE_BYTES_MAX else None


def _is_binary(data: bytes) -> bool:
    if b"\0" in data:
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def is_secret_file(name: str) -> bool:
    """Whether a file of this name is made to hold secrets."""
    last = PurePosixPath(name).name.lower()
    return any(fnmatchcase(last, pattern) for pattern in _SECRET_FILES)


def _cleaned(section: bytes, name: str, redactor: Redactor) -> bytes:
    text = section.decode(errors="surrogateescape")
    is_python = name.endswith((".py", ".pyi", ".ipynb"))
    return redactor.text(text, is_python=is_python).encode(errors="surrogateescape")


def _reason(redactor: Redactor, name: str, reason: str) -> str:
    return redactor.text(f"{name} ({reason})")


def _binary_problem(section: bytes, redactor: Redactor) -> str | None:
    """Why a binary change can't be kept: what it unpacks to holds a secret, or can't be searched."""
    try:
        for content in _unpacked(section):
            text = content.replace(b"\0", b"").decode("latin-1")
            if redactor.finds(text):
                return "binary, with what looks like a secret"
    except (ValueError, KeyError, zlib.error, binascii.Error):
        return "binary, can't be searched for secrets"
    return None


def _unpacked(section: bytes) -> Iterator[bytes]:
    """The contents of the two halves of a binary patch: new and old, whole or as a delta."""
    packed: list[bytes] = []
    lines = section.partition(b"\nGIT binary patch\n")[2].split(b"\n")
    for line in [*lines, b""]:
        if not line or line.startswith((b"literal ", b"delta ")):
            if packed:
                yield _inflated(b"".join(packed))
            packed = []
        else:
            packed.append(base64.b85decode(line[1:])[: _BINARY_LINE_BYTES[line[0]]])


def _inflated(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(data, BINARY_BYTES_MAX)
    if unpacker.unconsumed_tail:
        message = "too large to be searched"
        raise ValueError(message)
    return content
