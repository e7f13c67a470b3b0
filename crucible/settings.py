"""The settings of one call: flags, then ``CRUCIBLE_*``, then the nearest ``crucible.toml`` upward, then defaults.

Plain dataclass on purpose: importing a settings library costs more than half of what ``crucible ls`` may take in all
(docs/dependencies.md has the figures). Every problem is reported at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import getpass
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crucible.blobs_address import FORM as BLOBS_FORM
from crucible.blobs_address import is_bucket, parse_bucket
from crucible.errors import DefinitionError, Problem, UsageError
from crucible.log.address import is_kafka_address, parse_kafka_address
from crucible.place import Place
from crucible.portion import Portion
from crucible.registry_address import FORM, parse_registry_address, without_login

FILE_NAME = "crucible.toml"
FOLDER_NAME = ".crucible"
JOBS_MAX = 1_024
LEASE_MS_MIN = 200
TEXT_MAX = 128
"""Longest name of an actor, a namespace or a queue, in characters."""
MEMORY = re.compile(r"(6[4-9]|[7-9]\d|[1-9]\d{2,5}) ?Mi?B|[1-9]\d{0,3} ?[GT]i?B", re.IGNORECASE)
"""A size that DuckDB understands and can work with."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What a command works with."""

    project: Path
    """Folder of the nearest ``crucible.toml``, else the current folder."""
    log: Path
    """Folder of the log (``CRUCIBLE_LOG``), or of what is kept here of a log that is on Kafka."""
    output_dir: Path
    """Folder of the run folders."""
    blobs: str | None
    """Where the blobs are (``CRUCIBLE_BLOBS``): a folder or ``s3://bucket/prefix``; None: beside the log."""
    adapter: str | None
    """Adapter of experiments that name none (``CRUCIBLE_ADAPTER``)."""
    jobs: int
    """Stages at once."""
    lease_ms: int
    """Silence of a worker, in milliseconds, after which its claim may be ended."""
    actor: str
    """Who writes commands."""
    namespace: str
    """Namespace (team)."""
    queues: tuple[str, ...]
    """Queues that a worker of this call serves."""
    spool_bytes_max: int
    """Most bytes of telemetry waiting for the log, for each process."""
    read_model_memory: str
    """Memory limit of the read model, in DuckDB's words."""
    url: str | None
    """Query port of another host that answers instead of a read model of one's own (``CRUCIBLE_URL``)."""
    url_cafile: str | None
    """File of certificates to trust there; None: those of the system."""
    url_token: str | None = dataclasses.field(repr=False)
    """The secret that it asks for."""
    registry: str | None = dataclasses.field(repr=False)
    """Address of the schema registry that gives schemas their ids; it may hold a login."""
    log_address: str | None = None
    """``kafka://…`` if the log is there; None: it is in the folder ``log``."""
    is_located: bool = False
    """``log`` is the folder of a log on Kafka whose id is known."""
    portion: Portion | None = None
    """The partitions of telemetry whose read model is meant (``--telemetry``); None: the one of all."""

    @property
    def place(self) -> Place:
        """The folder of the log as paths."""
        return Place(
            self.log,
            log_address=self.log_address,
            registry=self.registry,
            blobs_address=self.blobs,
            portion=self.portion,
        )

    @property
    def log_text(self) -> str:
        """Where the log is, for people."""
        return self.log_address or str(self.log)


def nearest_settings_file(start: Path) -> Path | None:
    """``crucible.toml`` in ``start`` or the nearest folder above it."""
    for folder in (start, *start.parents):
        candidate = folder / FILE_NAME
        if candidate.is_file():
            return candidate
    return None


def load_settings(*, start: Path | None = None, environ: Mapping[str, str] | None = None, **flags: object) -> Settings:
    """The settings for a command started in ``start``; a flag that is None is not given.

    Raises ``DefinitionError`` with every problem of the file and the environment, ``UsageError`` without a folder.
    """
    environ = os.environ if environ is None else environ
    here = (start or _current_folder()).resolve()
    file = nearest_settings_file(here)
    project = file.parent if file else here
    problems: list[Problem] = []
    values = _defaults()
    values |= _from_file(file, problems) if file else {}
    values |= _from_environ(environ, problems)
    values |= {name: value for name, value in flags.items() if value is not None}
    _check(values, problems)
    if problems:
        raise DefinitionError(problems)
    values["log_address"] = _log_address(values["log"])
    values["log"] = _log_folder(None if values["log_address"] else values["log"], project)
    values["output_dir"] = project / Path(str(values["output_dir"])).expanduser()
    values["blobs"] = _blobs_address(values["blobs"], project)
    values["queues"] = tuple(values["queues"])
    places = {name: values[name] for name in ("log", "output_dir", "blobs") if values[name] is not None}
    _check_places({"folder of the project": project, **places})
    return Settings(project=project, **values)


def _check_places(places: Mapping[str, Path | str]) -> None:
    """Refuse folders that no record, and not every file of the log, could name."""
    problems = [
        Problem(name, "is no UTF-8; rename it or choose another place", value=ascii(str(place)))
        for name, place in places.items()
        if not _is_utf8(str(place))
    ]
    if problems:
        raise DefinitionError(problems)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        message = "the current folder does not exist any more; change to one that does"
        raise UsageError(message) from error


def _defaults() -> dict[str, Any]:
    return {
        "log": None,
        "output_dir": "artifacts/crucible",
        "blobs": None,
        "adapter": None,
        "jobs": os.cpu_count() or 1,
        "lease_ms": 15_000,
        "actor": _who(),
        "namespace": "default",
        "queues": ["default"],
        "spool_bytes_max": 1 << 30,
        "read_model_memory": "2GB",
        "url": None,
        "url_cafile": None,
        "url_token": None,
        "registry": None,
    }


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _from_file(file: Path, problems: list[Problem]) -> dict[str, Any]:
    import tomllib

    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(Problem(str(file), f"not TOML: {error}"))
        return {}
    except OSError as error:
        problems.append(Problem(str(file), f"can't be read: {error.strerror}"))
        return {}
    known = _defaults()
    for name in table.keys() - known.keys():
        near = difflib.get_close_matches(name, known, 1)
        problems.append(
            Problem(
                f"{file.name}: {name}",
                "unknown setting",
                expected=", ".join(sorted(known)),
                nearest=near[0] if near else None,
            )
        )
    return {name: value for name, value in table.items() if name in known}


def _from_environ(environ: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, default in _defaults().items():
        text = environ.get(f"CRUCIBLE_{name.upper()}")
        if text is None or text == "":
            continue
        if isinstance(default, int):
            try:
                found[name] = int(text)
            except ValueError:
                problems.append(Problem(f"CRUCIBLE_{name.upper()}", "not a whole number", value=f"{text!r:.80}"))
        elif isinstance(default, list):
            found[name] = [part.strip() for part in text.split(",") if part.strip()]
        else:
            found[name] = text
    return found


def _check(values: dict[str, Any], problems: list[Problem]) -> None:
    for name, default in _defaults().items():
        value = values[name]
        wanted: type = str if default is None else type(default)
        if (value is None and default is None) or (isinstance(value, Path) and name in {"log", "output_dir"}):
            continue
        if not isinstance(value, wanted) or isinstance(value, bool):
            shown = without_login(repr(value))
            problems.append(Problem(name, "wrong type", value=shown, expected=wanted.__name__))
            values[name] = default
    limits = {"jobs": (0, JOBS_MAX), "lease_ms": (LEASE_MS_MIN, 86_400_000), "spool_bytes_max": (1 << 23, 1 << 50)}
    for name, (low, high) in limits.items():
        if not low <= values[name] <= high:
            problems.append(Problem(name, "out of range", value=str(values[name]), expected=f"{low} to {high}"))
    _check_texts(values, problems)
    _check_registry(values["registry"], problems)


def _check_texts(values: dict[str, Any], problems: list[Problem]) -> None:
    for name in ("output_dir", "log", "blobs"):
        text = values[name]
        if name == "blobs" and text is not None and "://" in text and not text.startswith("file://"):
            _check_blobs(text, problems)
            continue
        if text is not None and (not str(text) or "\0" in str(text)):
            problems.append(Problem(name, "is no path", value=repr(text), expected="a folder"))
        elif text is not None:
            _check_home(name, str(text), problems)
    for name in ("actor", "namespace"):
        if not (values[name].isprintable() and 0 < len(values[name]) <= TEXT_MAX):
            expected = f"1 to {TEXT_MAX} printable characters"
            problems.append(Problem(name, "can't be used", value=f"{values[name]!r:.80}", expected=expected))
    problems += [
        Problem("queues", "holds what is no queue", value=f"{queue!r:.80}", expected="names")
        for queue in values["queues"]
        if not isinstance(queue, str) or not queue.isprintable() or not 0 < len(queue) <= TEXT_MAX
    ]
    if not values["queues"]:
        problems.append(Problem("queues", "is empty", expected='names, for example ["default"]'))
    if not MEMORY.fullmatch(values["read_model_memory"]):
        value = f"{values['read_model_memory']!r:.80}"
        problems.append(
            Problem("read_model_memory", "is no size", value=value, expected="64MB at least, as 512MB or 2GB")
        )


def _check_registry(text: str | None, problems: list[Problem]) -> None:
    if text is None:
        return
    try:
        parse_registry_address(text)
    except ValueError as error:
        problems.append(Problem("registry", str(error), value=f"{without_login(text)!r:.80}", expected=FORM))


def _check_blobs(text: str, problems: list[Problem]) -> None:
    """An address that may hold a login by mistake is not shown."""
    try:
        if not is_bucket(text):
            problems.append(
                Problem("blobs", f"no blob store for {text.partition('://')[0]}:// here", expected=BLOBS_FORM)
            )
        else:
            parse_bucket(text)
    except ValueError as error:
        problems.append(Problem("blobs", str(error), expected=BLOBS_FORM))


def _check_home(name: str, text: str, problems: list[Problem]) -> None:
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        problems.append(Problem(name, f"can't be found: {error}", value=repr(text)))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _blobs_address(given: str | None, project: Path) -> str | None:
    if given is None:
        return None
    if is_bucket(given):
        return str(parse_bucket(given))
    return str((project / Path(given.removeprefix("file://")).expanduser()).resolve())


def _log_address(given: str | Path | None) -> str | None:
    """The address of a log that is in no folder. Raises ``DefinitionError`` for one that nobody serves."""
    text = "" if given is None else str(given)
    if "://" not in text or text.startswith("file://"):
        return None
    if not is_kafka_address(text):
        scheme = text.partition("://")[0]
        message = (
            f"CRUCIBLE_LOG: no engine for {scheme}:// here; give a folder, for example .crucible, or kafka://host:port"
        )
        raise UsageError(message)
    return str(parse_kafka_address(text))


def _log_folder(given: str | Path | None, project: Path) -> Path:
    if given is None:
        return project / FOLDER_NAME
    text = str(given)
    return (project / Path(text.removeprefix("file://")).expanduser()).resolve()
