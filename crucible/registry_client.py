"""A schema registry with Confluent's HTTP API, asked for the ids of schemas.

To register a schema again gives its id again, so whatever fails on the way is asked once more. Nothing that is said of
a failure holds the login.
"""

from __future__ import annotations

import base64
import concurrent.futures
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from crucible.errors import DependencyError, RegistryError
from crucible.ports import Clock
from crucible.records.schema import NAMESPACE, SCHEMA_ID_MAX, RecordSchema
from crucible.redaction import REMOVED
from crucible.registry_address import RegistryAddress

if TYPE_CHECKING:
    import httpx2

CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
ATTEMPTS_MAX: Final = 3
"""How often a registry is asked that does not answer, or says that it can't just now."""
ATTEMPT_DELAY_S: Final = 0.25
"""Wait before the second attempt; doubles with each further one."""
CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 1 << 20
"""Longest answer that is read."""
ANSWER_SHOWN_BYTES: Final = 4_096
REQUESTS_AT_ONCE: Final = 8
MESSAGE_CHARACTERS_MAX: Final = 300
"""As much is shown of what a registry says."""


class RegistryClient:
    """Registers schemas and says their ids. Holds nothing open between two calls."""

    def __init__(self, address: RegistryAddress, *, clock: Clock, prefix: str = NAMESPACE) -> None:
        """``prefix`` is what the names of the log's topics begin with: subjects are named after topic and record."""
        self._address = address
        self._clock = clock
        self._prefix = prefix

    def ids_of(self, schemas: Sequence[RecordSchema]) -> Sequence[int]:
        """The ids of schemas, each registered if it was not.

        Raises ``RegistryError`` that says why there is none, ``DependencyError`` without an HTTP client.
        """
        if not schemas:
            return []
        with (
            _open_client(self._address) as client,
            concurrent.futures.ThreadPoolExecutor(REQUESTS_AT_ONCE, "crucible-registry") as pool,
        ):
            first = self._register(client, schemas[0])  # alone: one that is down is asked for one schema only
            return [first, *pool.map(lambda schema: self._register(client, schema), schemas[1:])]

    def count_subjects(self) -> int:
        """How many subjects it has: whether it can be reached and read at all. Raises as ``ids_of``."""
        with _open_client(self._address) as client:
            status, body = self._ask(client, "GET", "/subjects")
        if status != HTTPStatus.OK:
            raise self._error(self._refusal(status, "/subjects", _object(body)))
        subjects = _json(body)
        if not isinstance(subjects, list):
            raise self._nonsense(body, "a list of subjects")
        return len(subjects)

    def _register(self, client: httpx2.Client, schema: RecordSchema) -> int:
        subject = schema.subject_at(self._prefix)
        content = json.dumps({"schema": schema.text}).encode()
        status, body = self._ask(client, "POST", f"/subjects/{quote(subject, safe='')}/versions", content)
        if status != HTTPStatus.OK:
            raise self._error(self._refusal(status, subject, _object(body)))
        schema_id = _object(body).get("id")
        if type(schema_id) is not int or not 0 <= schema_id <= SCHEMA_ID_MAX:
            raise self._nonsense(body, "the id of a schema")
        return schema_id

    def _ask(self, client: httpx2.Client, method: str, path: str, content: bytes = b"") -> tuple[int, bytes]:
        """Status and body of an answer; a failure that may pass is tried again."""
        import httpx2

        try:
            return self._ask_often(client, method, path, content)
        except httpx2.TransportError as error:
            why = self._clean(f"{type(error).__name__}: {error}")
            what = f"can't be reached ({why}); start it, or correct CRUCIBLE_REGISTRY"
        except httpx2.HTTPError as error:
            what = f"gives no answer in HTTP ({self._clean(f'{type(error).__name__}: {error}')})"
        raise self._error(what)

    def _ask_often(self, client: httpx2.Client, method: str, path: str, content: bytes) -> tuple[int, bytes]:
        import httpx2

        for attempt in range(ATTEMPTS_MAX - 1):
            try:
                status, body = _ask_once(client, method, f"{self._address.url}{path}", content)
            except httpx2.TransportError:
                pass
            else:
                if status != HTTPStatus.TOO_MANY_REQUESTS and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return status, body
            self._clock.sleep(ATTEMPT_DELAY_S * 2**attempt)
        return _ask_once(client, method, f"{self._address.url}{path}", content)

    def _refusal(self, status: int, subject: str, answer: dict[str, Any]) -> str:
        """Why a registry gives no id, and what to do, by the status of its answer."""
        said = f" ({self._clean(answer['message'])})" if isinstance(answer.get("message"), str) else ""
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            if self._address.login is None:
                return f"wants a login{said}: CRUCIBLE_REGISTRY=http(s)://user:password@host:port"
            return f"does not take the login of CRUCIBLE_REGISTRY{said}: check user, password and rights"
        if status == HTTPStatus.CONFLICT:
            return f"has schemas under subject {subject} that ours does not go with{said}: find out who wrote them"
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return f"takes no schema under subject {subject}{said}"
        if status < HTTPStatus.BAD_REQUEST or status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
            return f"answers {status}{said}: it is none, or lies elsewhere; correct CRUCIBLE_REGISTRY"
        return f"answers {status} to schemas{said}"

    def _nonsense(self, body: bytes, expected: str) -> RegistryError:
        seen = self._clean(body[:ANSWER_SHOWN_BYTES].decode(errors="replace"))
        return self._error(f"answers {seen!r} where {expected} is expected; is it a schema registry?")

    def _clean(self, text: str) -> str:
        """What somebody else has said: one line, not too long, and without the login."""
        for secret in _secrets(self._address.login):
            text = text.replace(secret, REMOVED)
        return "".join(each if each.isprintable() else " " for each in text[:MESSAGE_CHARACTERS_MAX])

    def _error(self, what: str) -> RegistryError:
        return RegistryError(f"the schema registry at {self._address.url} {what}")


def _open_client(address: RegistryAddress) -> httpx2.Client:
    try:
        import httpx2
    except ImportError:
        message = "CRUCIBLE_REGISTRY needs httpx2: pip install 'crucible-experiments[registry]'"
        raise DependencyError(message) from None
    return httpx2.Client(
        auth=address.login,
        headers={"Content-Type": CONTENT_TYPE, "Accept": f"{CONTENT_TYPE}, application/json"},
        timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
    )


def _ask_once(client: httpx2.Client, method: str, url: str, content: bytes) -> tuple[int, bytes]:
    body = b""
    with client.stream(method, url, content=content) as answer:
        for part in answer.iter_bytes():
            body += part
            if len(body) > ANSWER_BYTES_MAX:
                break
        return answer.status_code, body


def _json(body: bytes) -> Any:
    """What an answer says; None if it is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer; empty if it is none."""
    found = _json(body)
    return found if isinstance(found, dict) else {}


def _secrets(login: tuple[str, str] | None) -> list[str]:
    """Every form in which a login may come back."""
    if login is None or not login[1]:
        return []
    user, password = login
    return [base64.b64encode(f"{user}:{password}".encode()).decode(), password, quote(password, safe="")]
