"""The digest of a project's code: what has to be the same for a finished stage to be used again.

It covers the Python files of the project and the versions of installed packages. The file that defines the experiment
counts by its syntax tree without the ``Experiment(...)`` call, so that a further learning rate in the grid, or a
comment, changes nothing; every other file counts by its bytes. The project is the folder of the nearest
``crucible.toml`` or ``pyproject.toml`` upward, or else the folder of the file.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crucible.canonical import digest_bytes, digest_of
from crucible.definition.command import command_words
from crucible.definition.model import Definition
from crucible.definition.project import project_root
from crucible.definition.source_import import NOT_CODE
from crucible.definition.syntax import syntax_tree

CODE_FILES_MAX: Final = 5_000
CODE_BYTES_MAX: Final = 64 << 20
FOLDERS_MAX: Final = 20_000


class CodeTooLargeError(Exception):
    """The project has more code than is digested; says what to do."""


COMMAND_FILE_BYTES_MAX: Final = 1 << 20
"""A larger file on a command line is data: it counts by size and time of its last change."""


def code_digest(file: Path) -> str:
    """Return the digest of the code around ``file``; ``CodeTooLargeError`` if that is no project of sensible size."""
    file = file.resolve()
    root = project_root(file)
    files: dict[str, str] = {}
    size_bytes = 0
    for path in python_files(root):
        data = _code_in(path, is_needed=path == file)
        if data is None:
            continue
        size_bytes += len(data)
        if len(files) >= CODE_FILES_MAX or size_bytes > CODE_BYTES_MAX:
            message = (
                f"{root} has more than {CODE_FILES_MAX:,} Python files or {CODE_BYTES_MAX >> 20} MiB of them: "
                "put a crucible.toml into the folder of the experiment"
            )
            raise CodeTooLargeError(message)
        name = os.fsencode(path.relative_to(root)).decode(errors="backslashreplace")
        files[name] = _tree_digest(data) if path == file else digest_bytes(data)
    version = f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}"
    return digest_of({"files": files, "packages": installed_packages(), "python": version})


def _code_in(path: Path, *, is_needed: bool) -> bytes | None:
    """The bytes of a file; None if it can't be read, and so not be imported either."""
    try:
        return path.read_bytes()
    except OSError:
        if is_needed:
            raise
        return None


def python_files(root: Path) -> Iterator[Path]:
    """Yield the Python files of a project in a fixed order, without hidden folders, environments and build output.

    Folders that can't be read are passed over.
    """
    waiting = [root]
    seen = 0
    while waiting:
        folder = waiting.pop()
        seen += 1
        if seen > FOLDERS_MAX:
            message = f"{root} has more than {FOLDERS_MAX:,} folders: put a crucible.toml beside the experiment"
            raise CodeTooLargeError(message)
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue  # what can't be read can't be imported either
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                if not _is_skipped(entry):
                    waiting.append(Path(entry.path))
            elif entry.name.endswith(".py") and entry.is_file():
                yield Path(entry.path)


def _is_skipped(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    is_named = name.startswith(".") or name in NOT_CODE or name.endswith(".egg-info")
    return is_named or os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))  # noqa: PTH110, PTH118  ten times as fast, for each folder


def with_command_files(digest: str, definition: Definition, folder: Path) -> str:
    """Return the code's digest with the files that commands name, those of hooks too; they may be of any language.

    ``folder`` is the one that commands run in: that of the file which defines the experiment.
    """
    commands = [stage.command for stage in definition.stages] + [hook.command for hook in definition.hooks.values()]
    words = {word for command in commands if command for word in command_words(command)}
    named = {word: _file_digest(folder / word) for word in sorted(words) if (folder / word).is_file()}
    return digest_of({"code": digest, "commands": named}) if named else digest


def _file_digest(path: Path) -> str:
    facts = path.stat()
    if facts.st_size <= COMMAND_FILE_BYTES_MAX:
        return digest_bytes(path.read_bytes())
    return digest_of({"size_bytes": facts.st_size, "changed_us": facts.st_mtime_ns // 1000})


def installed_packages() -> list[str]:
    """Return ``name-version`` of every installed distribution, sorted.

    Read from the names of the metadata folders on ``sys.path``: importlib.metadata opens each of them, which takes
    longer than everything else here together.
    """
    found: set[str] = set()
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as entries:
                names = [entry.name.lower() for entry in entries]
        except OSError:
            continue
        found.update(name for name in names if name.endswith((".dist-info", ".egg-info")))
    return sorted(found)


def _tree_digest(source: bytes) -> str:
    try:
        tree = syntax_tree(source)
    except (SyntaxError, ValueError):
        return digest_bytes(source)
    return digest_bytes(ast.dump(_WithoutExperiments().visit(tree)).encode())


class _WithoutExperiments(ast.NodeTransformer):
    """Leaves of each ``Experiment(...)`` only the name."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
        return function if name == "Experiment" else self.generic_visit(node)
