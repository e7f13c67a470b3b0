"""What the read half of Confluent's Schema Registry API answers: a function for each path."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

from crucible.projections.subjects import Subjects, SubjectVersion
from crucible.records.schema import SCHEMA_ID_MAX

COMPATIBILITY: Final = "FULL_TRANSITIVE"
"""How our schemas evolve: held by our own check, whichever registry there is."""
MODE: Final = "READONLY"
LATEST: Final = frozenset({"latest", "-1"})
EVERY_SUBJECT: Final = frozenset({"", ":*:"})
"""Prefixes that stand for all subjects."""
SUBJECT_NOT_FOUND: Final = 40401
VERSION_NOT_FOUND: Final = 40402
SCHEMA_NOT_FOUND: Final = 40403
INVALID_SCHEMA: Final = 42201
INVALID_VERSION: Final = 42202
READ_ONLY: Final = 42205

T = TypeVar("T")
Options = Mapping[str, str]
"""What stands behind the question mark."""


class ApiError(Exception):
    """An answer that is an error, by the API's own code."""

    def __init__(self, code: int, message: str) -> None:
        """``code`` is an HTTP status, or one followed by two digits of the API's own."""
        super().__init__(message)
        self.code = code
        self.status = HTTPStatus(int(str(code)[:3]))


class ReadOnlyError(ApiError):
    """The answer to whoever wants to write."""

    def __init__(self, what: str) -> None:
        """``what`` can't be written."""
        super().__init__(READ_ONLY, f"{what} is in read-only mode: a log gets its schemas from those who write it")


def answer(subjects: Subjects, method: str, path: tuple[str, ...], options: Options, body: bytes) -> Any:
    """The answer to a request, to be sent as JSON. Raises ``ApiError``."""
    if method == "GET" and (get := _found(GETS, path)) is not None:
        return get(subjects, path, options)
    if method == "POST" and (post := _found(POSTS, path)) is not None:
        return post(subjects, path[1], body)
    if method in {"PUT", "DELETE"}:
        raise ReadOnlyError("/".join(path))
    message = f"HTTP 404 Not Found: there is no {method} /{'/'.join(path)} here"
    raise ApiError(404, message)


def _found(routes: Mapping[tuple[str, ...], T], path: tuple[str, ...]) -> T | None:
    for pattern, respond in routes.items():
        if len(pattern) == len(path) and all(want in {ANY, each} for want, each in zip(pattern, path, strict=True)):
            return respond
    return None


def _names(subjects: Subjects, _: tuple[str, ...], options: Options) -> list[str]:
    prefix = options.get("subjectPrefix", "")
    return [name for name in subjects.names if prefix in EVERY_SUBJECT or name.startswith(prefix)]


def _version_numbers(subjects: Subjects, path: tuple[str, ...], _: Options) -> list[int]:
    return [each.version for each in _versions(subjects, path[1])]


def _version(subjects: Subjects, path: tuple[str, ...], _: Options) -> dict[str, Any]:
    return _one_version(subjects, path[1], path[3]).facts


def _version_text(subjects: Subjects, path: tuple[str, ...], _: Options) -> Any:
    return json.loads(_one_version(subjects, path[1], path[3]).schema.text)


def _referenced_by(subjects: Subjects, path: tuple[str, ...], _: Options) -> list[int]:
    _one_version(subjects, path[1], path[3])
    return []


def _all(subjects: Subjects, path: tuple[str, ...], options: Options) -> list[dict[str, Any]]:
    found = [subjects.versions(name) for name in _names(subjects, path, options)]
    is_latest = options.get("latestOnly") == "true"
    return [each.facts for versions in found for each in (versions[-1:] if is_latest else versions)]


def _schema(subjects: Subjects, path: tuple[str, ...], _: Options) -> dict[str, Any]:
    """A schema by its id. A subject is not minded: consumers ask with the name that their strategy makes."""
    return {"schema": _text(subjects, path[2])}


def _schema_text(subjects: Subjects, path: tuple[str, ...], _: Options) -> Any:
    return json.loads(_text(subjects, path[2]))


def _subjects_of_id(subjects: Subjects, path: tuple[str, ...], _: Options) -> list[str]:
    _text(subjects, path[2])
    return [each.subject for each in subjects.of_id(int(path[2]))]


def _versions_of_id(subjects: Subjects, path: tuple[str, ...], _: Options) -> list[dict[str, Any]]:
    _text(subjects, path[2])
    return [{"subject": each.subject, "version": each.version} for each in subjects.of_id(int(path[2]))]


def _config(subjects: Subjects, path: tuple[str, ...], _: Options) -> dict[str, str]:
    if path[1:]:
        _versions(subjects, path[1])
    return {"compatibilityLevel": COMPATIBILITY}


def _mode(subjects: Subjects, path: tuple[str, ...], _: Options) -> dict[str, str]:
    if path[1:]:
        _versions(subjects, path[1])
    return {"mode": MODE}


def _versions(subjects: Subjects, subject: str) -> list[SubjectVersion]:
    found = subjects.versions(subject)
    if not found:
        message = f"Subject '{subject}' not found."
        raise ApiError(SUBJECT_NOT_FOUND, message)
    return found


def _one_version(subjects: Subjects, subject: str, version: str) -> SubjectVersion:
    found = _versions(subjects, subject)
    if version in LATEST:
        return found[-1]
    number = _number(version)
    if number is None or number < 1:
        message = f"The specified version '{version}' is not a valid version id: 1 and up, or latest."
        raise ApiError(INVALID_VERSION, message)
    if number > len(found):
        message = f"Version {number} not found."
        raise ApiError(VERSION_NOT_FOUND, message)
    return found[number - 1]


def _text(subjects: Subjects, schema_id: str) -> str:
    number = _number(schema_id)
    schema = None if number is None else subjects.schema(number)
    if schema is None:
        message = f"Schema {schema_id} not found"
        raise ApiError(SCHEMA_NOT_FOUND, message)
    return schema.text


def _number(text: str) -> int | None:
    """A whole number in decimal digits that an id or a version can be."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(SCHEMA_ID_MAX))):
        return None
    return int(text) if int(text) <= SCHEMA_ID_MAX else None


def _look_up(subjects: Subjects, subject: str, body: bytes) -> SubjectVersion:
    text, kind = _asked(body)
    _versions(subjects, subject)
    try:
        found = subjects.look_up(subject, text) if kind == "AVRO" else None
    except (ValueError, RecursionError) as error:
        message = f"Invalid schema: {error}"
        raise ApiError(INVALID_SCHEMA, message) from None
    if found is None:
        message = "Schema not found"
        raise ApiError(SCHEMA_NOT_FOUND, message)
    return found


def _looked_up(subjects: Subjects, subject: str, body: bytes) -> dict[str, Any]:
    return _look_up(subjects, subject, body).facts


def _registered(subjects: Subjects, subject: str, body: bytes) -> dict[str, int]:
    """The id of a schema that is there: who registers it again changes nothing."""
    try:
        return {"id": _look_up(subjects, subject, body).schema.schema_id}
    except ApiError as error:
        if error.code in {SUBJECT_NOT_FOUND, SCHEMA_NOT_FOUND}:
            raise ReadOnlyError(subject) from None
        raise


def _asked(body: bytes) -> tuple[str, str]:
    """Text and kind of the schema that a request holds."""
    try:
        request = json.loads(body)
        text, kind = request["schema"], request.get("schemaType") or "AVRO"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = kind = None
    if not isinstance(text, str) or not isinstance(kind, str):
        message = 'expected a body {"schema": "…"}'
        raise ApiError(400, message)
    return text, kind


ANY: Final = "{}"
GETS: Final[Mapping[tuple[str, ...], Callable[[Subjects, tuple[str, ...], Options], Any]]] = {
    ("",): lambda *_: {},
    ("subjects",): _names,
    ("subjects", ANY, "versions"): _version_numbers,
    ("subjects", ANY, "versions", ANY): _version,
    ("subjects", ANY, "versions", ANY, "schema"): _version_text,
    ("subjects", ANY, "versions", ANY, "referencedby"): _referenced_by,
    ("schemas",): _all,
    ("schemas", "types"): lambda *_: ["AVRO"],
    ("schemas", "ids", ANY): _schema,
    ("schemas", "ids", ANY, "schema"): _schema_text,
    ("schemas", "ids", ANY, "subjects"): _subjects_of_id,
    ("schemas", "ids", ANY, "versions"): _versions_of_id,
    ("config",): _config,
    ("config", ANY): _config,
    ("mode",): _mode,
    ("mode", ANY): _mode,
    ("contexts",): lambda *_: ["."],
}
"""What each path answers; ``ANY`` stands for whatever is there."""
POSTS: Final[Mapping[tuple[str, ...], Callable[[Subjects, str, bytes], Any]]] = {
    ("subjects", ANY): _looked_up,
    ("subjects", ANY, "versions"): _registered,
}
"""As much for what comes with a body."""
