"""Importing the files of a project from their source, never from compiled code.

Python takes a compiled file for current if the source has the size and the second of change that it was compiled from.
A value edited within a second, a checkout or an unpacked archive that sets times: the source says one thing, and the
other is executed. The digest of the code is made from the source, so only the source may run.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from types import CodeType
from typing import Final

NOT_CODE: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv", "env"})
"""Folders of a project that hold no code of it; nor does one whose name begins with a dot."""

_OURS: Final = Path(__file__).parent.parent
"""This package: where its own repository is the project, it is imported as ever."""


class SourceLoader(SourceFileLoader):
    """Compiles the source at each import, and writes nothing."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of a module; raises what the compiler raises."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class SourceHook:
    """A path hook: folders of the project that this process works in have a finder whose loader is ``SourceLoader``."""

    def __init__(self) -> None:
        self._root: Path | None = None

    def move_to(self, root: Path) -> None:
        """Import from ``root`` and below by source; from a former one as ever."""
        if root == self._root:
            return
        roots = [each for each in (self._root, root) if each is not None]
        for path in list(sys.path_importer_cache):
            if any(_real(path).is_relative_to(each) for each in roots):
                del sys.path_importer_cache[path]
        self._root = root
        if self not in sys.path_hooks:
            sys.path_hooks.insert(0, self)

    def __call__(self, path: str) -> FileFinder:
        """Return a finder for a folder of the project; ``ImportError`` for any other, as the protocol wants."""
        if not self._is_code(path):
            message = f"{path} is no folder of the project"
            raise ImportError(message, path=path)
        return FileFinder(
            path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )  # fmt: skip

    def _is_code(self, path: str) -> bool:
        folder = _real(path)
        if self._root is None or not folder.is_relative_to(self._root) or not folder.is_dir():
            return False
        below = folder.relative_to(self._root).parts
        return not Path(path).is_relative_to(_OURS) and not any(part in NOT_CODE or part[0] == "." for part in below)


def _real(path: str) -> Path:
    """Where a path leads; ``Path.resolve`` raises where links lead in a circle."""
    return Path(os.path.realpath(path))
