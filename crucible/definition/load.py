"""Loading an experiment from a Python or YAML file, and finding the function of a stage."""

from __future__ import annotations

import dataclasses
import functools
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from crucible.definition.build import build
from crucible.definition.code_digest import CodeTooLargeError, code_digest, with_command_files
from crucible.definition.experiment import Experiment
from crucible.definition.model import Definition
from crucible.definition.problems import Loc, Problems, nearest_name, path_text
from crucible.definition.project import MAIN, ProjectError, find_attribute, import_file
from crucible.definition.sets import Setting, parse_settings
from crucible.definition.source_lines import experiment_lines
from crucible.definition.stage import Stage
from crucible.definition.stage_function import StageFunction, find_stage_of_type, resolve_stage
from crucible.errors import DefinitionError, Problem, UsageError
from crucible.standard_streams import open_standard_streams

__all__ = ["Loaded", "StageFunction", "load_experiment", "load_object", "resolve_stage", "split_target"]

DOCUMENT_SUFFIXES: Final = (".yaml", ".yml", ".json")
PYTHON_SUFFIX: Final = ".py"
PREFERRED_NAME: Final = "experiment"


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A checked experiment and where it came from."""

    definition: Definition
    code_path: Path | None
    """File that defines it; None in an interactive session."""
    code_digest: str
    """Digest of the project's code."""
    source_lines: Mapping[str, int]
    """Line of each part that the file spells out, from 1, by its path: ``stages[0].options.rank``."""
    warnings: tuple[Problem, ...]
    """What works here and now, but may not elsewhere or later."""

    @property
    def recipe_digest(self) -> str:
        """Digest of what decides results."""
        return self.definition.recipe_digest(self.code_digest)


def load_experiment(target: str, sets: Iterable[str] = (), *, adapter_default: str | None = None) -> Loaded:
    """Load and check ``FILE`` or ``FILE:NAME``, with parameters replaced by ``sets``.

    ``adapter_default`` is the adapter of an experiment that names none (``CRUCIBLE_ADAPTER``). Raises
    ``DefinitionError`` with every problem, or ``UsageError`` if there is no such file or experiment in it.
    """
    settings = parse_settings(sets)
    file, name = split_target(target)
    _require_utf8(file.resolve())
    if file.suffix in DOCUMENT_SUFFIXES:
        return _load_document(file, name, settings, adapter_default)
    if file.suffix == PYTHON_SUFFIX:
        digest = _digest(file)
        experiment = _find_experiment(_execute(file, digest), file, name)
        return _load_object(experiment, file, digest, settings, adapter_default)
    message = f"{file}: an experiment is a file that ends in {PYTHON_SUFFIX}, {', '.join(DOCUMENT_SUFFIXES)}"
    raise UsageError(message)


def load_object(experiment: Experiment, sets: Iterable[str] = (), *, adapter_default: str | None = None) -> Loaded:
    """Check an experiment that is at hand; raises ``DefinitionError`` with every problem."""
    file = experiment.code_path
    digest = _digest(file) if file is not None else ""
    return _load_object(experiment, file, digest, parse_settings(sets), adapter_default)


def split_target(target: str) -> tuple[Path, str | None]:
    """Split ``FILE:NAME``; ``UsageError`` if there is no such file."""
    file, colon, name = target.rpartition(":")
    try:
        path, chosen = (Path(file), name) if colon and not Path(target).exists() else (Path(target), None)
        if path.is_file():
            return path, chosen
        near = nearest_name(path.name, [each.name for each in _listed(path.parent)])
    except OSError as error:
        message = f"{target:.200}: can't be looked for: {error.strerror}"
        raise UsageError(message) from error
    hint = f"; did you mean {path.with_name(near)}?" if near is not None else ""
    message = f"{path}: there is no such file{hint}"
    raise UsageError(message)


def _require_utf8(file: Path) -> None:
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        message = f"{str(file)!a}: the path is no UTF-8, so no record can name it; rename it"
        raise UsageError(message) from error


def _listed(folder: Path) -> list[Path]:
    suffixes = (PYTHON_SUFFIX, *DOCUMENT_SUFFIXES)
    return [each for each in folder.iterdir() if each.suffix in suffixes and each.is_file()] if folder.is_dir() else []


def _digest(file: Path) -> str:
    try:
        return code_digest(file)
    except CodeTooLargeError as error:
        raise DefinitionError([Problem(path=str(file), message=str(error))]) from error


def _execute(file: Path, digest: str) -> Any:
    """Import the file; whatever it raises is a problem of the definition, with its line."""
    try:
        return import_file(file, version=digest)
    except ProjectError as error:
        raise DefinitionError([Problem(path=str(file), message=str(error))]) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise DefinitionError([_code_problem(file, error)]) from error
    finally:
        open_standard_streams()  # the file may have closed one


def _code_problem(file: Path, error: BaseException) -> Problem:
    line = error.lineno if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if line is None or not isinstance(error, SyntaxError):
            line = frame.lineno if Path(frame.filename) == file.resolve() else line
    said = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    if isinstance(error, EOFError) and "marshal" in said:
        said += "; a full disk has cut off compiled code: remove the folders called __pycache__"
    return Problem(path=str(file), message=f"can't be executed: {said}", line=line)


def _find_experiment(module: Any, file: Path, name: str | None) -> Experiment:
    found = {key: value for key, value in vars(module).items() if isinstance(value, Experiment)}
    if name is not None:
        for key, value in found.items():
            if name in (key, value.name):
                return value
        near = nearest_name(name, [*found, *(value.name for value in found.values())])
        hint = f"; did you mean {near!r}?" if near is not None else ""
        message = f"{file}: it defines no experiment {name!r}{hint}"
        raise UsageError(message)
    distinct = {id(value): value for value in found.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if PREFERRED_NAME in found:
        return found[PREFERRED_NAME]
    if found:
        message = f"{file}: it defines several experiments, choose one: {', '.join(f'{file}:{key}' for key in found)}"
    else:
        message = f"{file}: it defines no experiment; write experiment = crucible.Experiment(...) at its top level"
    raise UsageError(message)


def _load_object(
    experiment: Experiment, file: Path | None, digest: str, settings: list[Setting], adapter_default: str | None
) -> Loaded:
    at_hand = {each.type: each for each in experiment.stage_objects() if isinstance(each, Stage) and each.function}
    is_own = file is not None and experiment.code_path is not None and experiment.code_path.resolve() == file.resolve()
    lines = experiment_lines(file, experiment.line) if file is not None and is_own else {}
    problems = Problems(lines)

    def find_stage(stage_type: str) -> Stage:
        known = at_hand.get(stage_type)
        if known is None:
            return find_stage_of_type(stage_type, file, digest)
        _require_importable(known)
        return dataclasses.replace(known, fields={}, metrics=known.metrics)

    return _checked(
        experiment.document(),
        find_stage,
        settings,
        problems,
        source=_Source(file, digest),
        adapter_default=adapter_default,
    )


def _require_importable(known: Stage) -> None:
    """Refuse a function that a worker could not find again by its name."""
    module, _, name = known.type.partition(":")
    try:
        find_attribute(sys.modules[getattr(known.function, "__module__", module)], name)
        is_found = module != MAIN
    except (AttributeError, KeyError):
        is_found = False
    if not is_found:
        message = "workers can't import it: define the function at the top level of a file"
        raise LookupError(message)


def _load_document(file: Path, name: str | None, settings: list[Setting], adapter_default: str | None) -> Loaded:
    from crucible.definition.document import read_document  # the YAML reader, which a Python experiment doesn't need

    problems = Problems()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError([Problem(path=str(file), message=f"can't be read: {error}")]) from error
    document = read_document(text, problems)
    if document is None:
        raise DefinitionError(problems.errors)
    value = document.value
    if name is not None and isinstance(value, Mapping) and value.get("name") != name:
        message = f"{file}: its experiment is called {value.get('name')!r}, not {name!r}"
        raise UsageError(message)
    digest = _digest(file)
    find_stage = functools.partial(find_stage_of_type, code_path=file, digest=digest)
    return _checked(
        value, find_stage, settings, problems, source=_Source(file, digest), adapter_default=adapter_default
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Source:
    """Where a document comes from."""

    file: Path | None
    digest: str


def _checked(
    document: Any,
    find_stage: Callable[[str], Stage],
    settings: list[Setting],
    problems: Problems,
    *,
    source: _Source,
    adapter_default: str | None,
) -> Loaded:
    built = build(document, find_stage, settings=settings, adapter_default=adapter_default, problems=problems)
    if built.definition is None:
        raise DefinitionError(sorted(problems.errors, key=lambda problem: problem.line or 0))
    digest = source.digest
    if source.file is not None:
        digest = with_command_files(digest, built.definition, source.file.resolve().parent)
    return Loaded(
        definition=built.definition,
        code_path=None if source.file is None else source.file.resolve(),
        code_digest=digest,
        source_lines=_paths(problems.lines),
        warnings=tuple(problems.warnings),
    )


def _paths(lines: Mapping[Loc, int]) -> dict[str, int]:
    return {path_text(loc): line for loc, line in lines.items() if loc}
