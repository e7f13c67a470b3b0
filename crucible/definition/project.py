"""The Python project around an experiment: under which name a file is imported, and importing it.

A process works in one project at a time. When it goes to another one, or when the code has changed, the modules of the
former are forgotten, so that two projects may both have a ``model.py``.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from crucible.definition.source_import import SourceHook, SourceLoader

MAIN: Final = "__main__"
ROOT_FILES: Final = ("crucible.toml", "pyproject.toml")

_PACKAGE_DEPTH_MAX: Final = 32


@dataclasses.dataclass(frozen=True, slots=True)
class ImportPlace:
    """Where a file stands among importable modules."""

    folder: Path
    """Folder that has to be on ``sys.path``."""
    module: str
    """Dotted name."""


class ProjectError(Exception):
    """A module of the project can't be imported; says why in one line."""


def import_place(file: Path) -> ImportPlace:
    """Return under which name ``file`` is imported: packages above it count."""
    file = file.resolve()
    parts = [file.stem]
    folder = file.parent
    for _ in range(_PACKAGE_DEPTH_MAX):
        if not (folder / "__init__.py").is_file() or folder.parent == folder:
            break
        parts.insert(0, folder.name)
        folder = folder.parent
    return ImportPlace(folder, ".".join(parts))


def project_root(file: Path) -> Path:
    """Return the folder of the project that ``file`` belongs to."""
    folder = file.resolve().parent
    for each in (folder, *folder.parents):
        if any((each / name).is_file() for name in ROOT_FILES):
            return each
    return folder


def stage_type_of(function: Callable[..., Any]) -> str:
    """Return ``module:function``, the same whether its file is imported or run as a script."""
    module = getattr(function, "__module__", MAIN) or MAIN
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    if module == MAIN:
        file = getattr(sys.modules.get(MAIN), "__file__", None)
        if file is not None:
            module = import_place(Path(file)).module
    return f"{module}:{name}"


class _Project:
    """The project that this process works in."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.folder: Path | None = None
        self.version: str | None = None
        self.hook = SourceHook()

    def enter(self, folder: Path, root: Path, version: str | None) -> None:
        if self.folder is not None and (folder, version) != (self.folder, self.version):
            forget_modules(self.folder)
            if str(self.folder) in sys.path:
                sys.path.remove(str(self.folder))
            importlib.invalidate_caches()
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        self.hook.move_to(root)
        self.folder, self.version = folder, version


_project = _Project()


def forget_modules(folder: Path) -> None:
    """Drop the modules that came from this folder, but not what is installed below it."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None or name == MAIN or name.partition(".")[0] == __name__.partition(".")[0]:
            continue
        if Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts:
            del sys.modules[name]


def import_file(file: Path, *, version: str | None = None) -> ModuleType:
    """Import a Python file of a project. Raises ``ProjectError`` if its name is taken, else what the file raises."""
    file = file.resolve()
    place = import_place(file)
    with _project.lock:
        _project.enter(place.folder, project_root(file), version)
        return _import_from(place, file)


def _import_from(place: ImportPlace, file: Path) -> ModuleType:
    known = sys.modules.get(place.module)
    if known is not None:
        if _file_of(known) == file:
            return known
        message = (
            f"its module name {place.module!r} is already taken by {_file_of(known) or 'Python itself'}: rename it"
        )
        raise ProjectError(message)
    if "." in place.module:
        return importlib.import_module(place.module)
    loader = SourceLoader(place.module, str(file))
    spec = importlib.util.spec_from_file_location(place.module, file, loader=loader)
    if spec is None or file.suffix != ".py":
        message = f"{file.name} is not a Python file"
        raise ProjectError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[place.module] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(place.module, None)
        raise
    return module


def import_module(name: str, code_path: Path | None, *, version: str | None = None) -> ModuleType:
    """Import a module as code beside ``code_path`` would; ``version`` is the code's digest, if it is known."""
    with _project.lock:
        if code_path is None:
            return importlib.import_module(name)
        file = code_path.resolve()
        place = import_place(file)
        is_python = file.suffix == ".py"
        _project.enter(place.folder if is_python else file.parent, project_root(file), version)
        return _import_from(place, file) if is_python and name == place.module else importlib.import_module(name)


def find_attribute(module: ModuleType, qualified_name: str) -> Any:
    """Return ``module.a.b`` for ``a.b``; ``AttributeError`` if it is not there."""
    value: Any = module
    for part in qualified_name.split("."):
        value = getattr(value, part)
    return value


def _file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()
