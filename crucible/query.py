"""Asking the living engine: a client of the query port, of this host or of another one.

It speaks HTTP through the standard library: importing httpx costs a third of the time that ``crucible ls`` may take,
and this is one connection to one address without redirects and proxies.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crucible.errors import InternalError, ReadModelError, UsageError
from crucible.log.protocol import PartitionKey
from crucible.place import Place
from crucible.position import Position
from crucible.query_format import Row, decode_columns

if TYPE_CHECKING:
    import ssl

    import pyarrow as pa

    from crucible.digest import ModelDigest

CONNECT_TIMEOUT_S = 2.0
"""A port on this host that does not take a connection for this long is taken for dead."""
HEALTH_TIMEOUT_S = 8.0
"""An engine that does not even say how far it is for this long is stopped or stuck."""
STILL_S = 10.0
"""A read model that is behind and does not move for this long is stuck."""
ANSWER_TIMEOUT_S = 90.0
"""Longest time without a byte of an answer: the port's own limits are below."""

SNAPSHOT_TIMEOUT_S = 660.0
"""As much for a copy of the read model."""
DIGEST_TIMEOUT_S = 3_700.0
"""As much for the digest of everything."""

Parameters = Sequence[object] | Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a query port is, and what opens it."""

    host: str
    port: int
    token: str = dataclasses.field(repr=False)
    log_id: str | None = None
    """The log that it has to be of; None: any."""
    tls: ssl.SSLContext | None = None
    is_shared: bool = False
    """It is of another process group: what it refuses once it refuses again."""

    def connection(self) -> http.client.HTTPConnection:
        """A connection that is not made yet."""
        if self.tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=CONNECT_TIMEOUT_S)
        return http.client.HTTPSConnection(self.host, self.port, timeout=CONNECT_TIMEOUT_S, context=self.tls)


def local_endpoint(place: Place) -> Endpoint:
    """The port of the engine of a place. Raises ``ReadModelError`` if none has written its address."""
    try:
        owner = json.loads(place.owner.read_text(encoding="utf-8"))
        return Endpoint(owner["host"], owner["port"], owner["token"], owner["log_id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"no engine is running for {place.root}"
        raise ReadModelError(message) from error


def shared_endpoint(url: str, token: str | None, certificates: str | None, log_id: str | None = None) -> Endpoint:
    """The port at ``https://host:port`` that others share. Raises ``UsageError`` with every problem.

    ``certificates`` is a file of certificates to trust; None: those of the system.
    """
    problems = []
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in {"https", "http"} or not host or parts.path.strip("/") or parts.username is not None:
        problems.append("CRUCIBLE_URL: expected https://host:port and nothing else; the token is CRUCIBLE_URL_TOKEN")
    elif parts.scheme == "http" and host not in {"127.0.0.1", "::1", "localhost"}:
        problems.append("CRUCIBLE_URL: without TLS others read the token; only this host is asked by http://")
    if not token:
        problems.append("CRUCIBLE_URL_TOKEN is not set: the port at CRUCIBLE_URL asks for it")
    tls = None
    if parts.scheme == "https":
        import ssl

        try:
            tls = ssl.create_default_context(cafile=certificates)
        except OSError as error:
            problems.append(f"CRUCIBLE_URL_CAFILE: {certificates} can't be used: {error.strerror or error}")
    if problems:
        raise UsageError("\n".join(problems))
    assert host is not None
    assert token is not None
    return Endpoint(host, port or (443 if tls is not None else 80), token, log_id, tls, is_shared=True)


class QueryClient:
    """A connection to a query port. For one thread; close it."""

    def __init__(self, endpoint: Endpoint, *, is_waiting: bool = True) -> None:
        """Connect, and wait until the read model holds what is on the log now: one that is rebuilt takes a while.

        Unless ``is_waiting`` only for a moment.
        Raises ``ReadModelError`` if the port does not answer or move.
        """
        self._endpoint = endpoint
        self._headers = {"Authorization": f"Bearer {endpoint.token}", "Content-Type": "application/json"}
        log_id = endpoint.log_id
        self._connection: http.client.HTTPConnection | None = None
        self._timeout_s = HEALTH_TIMEOUT_S
        try:
            health = self._json("GET", "/health?fresh", None)
        except (InternalError, UsageError) as error:  # no engine of ours answers like that
            self.close()
            if endpoint.is_shared:
                raise
            raise self._gone(error) from error
        if log_id is not None and health.get("log_id") != log_id:
            self.close()
            message = f"the port at {endpoint.host}:{endpoint.port} is of another log"
            raise ReadModelError(message)
        self._position = self._caught_up(health) if is_waiting else str(health["position"])
        self._set_timeout(ANSWER_TIMEOUT_S)  # it is an engine that is asked, and a query may take its time

    @property
    def position(self) -> str:
        """The position of the log that answers come from, at least."""
        return self._position

    def rows(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """The rows of a SELECT by column name. Raises ``UsageError`` for a query that is wrong or too large."""
        names, rows = self.table(sql, parameters)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def table(self, sql: str, parameters: Parameters = ()) -> tuple[Sequence[str], Sequence[Row]]:
        """The column names and rows of a SELECT. Raises as ``rows``."""
        body = self._query(sql, parameters, "columns", None)
        names, _, rows, self._position = decode_columns(body)
        return names, rows

    def arrow(self, sql: str, parameters: Parameters = ()) -> bytes:
        """The answer as an Arrow IPC stream. Raises as ``rows``."""
        return self._query(sql, parameters, "arrow", None)

    def arrow_table(self, sql: str, parameters: Parameters = ()) -> pa.Table:
        """The answer as an Arrow table. Raises as ``rows``."""
        import pyarrow as pa

        return pa.ipc.open_stream(self.arrow(sql, parameters)).read_all()

    def rows_after(self, position: str, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """As ``rows``, once the read model includes ``position``. Raises ``UsageError`` if it does not in time."""
        names, _, rows, self._position = decode_columns(self._query(sql, parameters, "columns", position))
        return [dict(zip(names, row, strict=True)) for row in rows]

    def statistics(self) -> dict[str, Any]:
        """How the read model does."""
        return self._json("GET", "/statistics", None)

    def model_digest(self) -> tuple[Position, ModelDigest]:
        """The digest of the read model, and the position that it is of."""
        from crucible.digest import ModelDigest, TableDigest

        self._set_timeout(DIGEST_TIMEOUT_S)
        answer = self._json("GET", "/digest", None)
        self._set_timeout(ANSWER_TIMEOUT_S)
        tables = {name: TableDigest(rows, int(total, 16)) for name, (rows, total) in answer["tables"].items()}
        return Position.parse(answer["position"]), ModelDigest(tables)

    def copy_model(self, target: Path) -> None:
        """Have the engine copy its read model to a workbench, ``crucible.projections.workbench``.

        Raises ``ReadModelError`` if it can't.
        """
        self._json("POST", "/copy", json.dumps({"path": str(target.absolute())}).encode())

    def take_snapshot(self) -> Position:
        """Have the engine publish a copy of its read model, unless the last one is as new; the position that it is of.

        Raises ``ReadModelError`` if it can't.
        """
        self._set_timeout(SNAPSHOT_TIMEOUT_S)
        answer = self._json("POST", "/snapshot", b"{}")
        self._set_timeout(ANSWER_TIMEOUT_S)
        return Position.parse(str(answer["position"]))

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _query(self, sql: str, parameters: Parameters, form: str, after: str | None) -> bytes:
        params = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
        request = {"sql": sql, "params": params, "format": form, "after": after}
        return self._send("POST", "/query", json.dumps(request, default=str).encode())

    def _json(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        try:
            answer = json.loads(self._send(method, path, body))
        except ValueError as error:
            self.close()
            raise self._gone(error) from error
        return answer if isinstance(answer, dict) else {}

    def _caught_up(self, health: dict[str, Any]) -> str:
        """Ask until the position includes what was the end of the log at first; returns the position."""
        end = Position.parse(str(health["end"])).offsets
        position, moved_s = str(health["position"]), time.monotonic()
        while not _includes(position, end):
            if time.monotonic() - moved_s > STILL_S:
                self.close()
                message = f"the read model stands still at {position}, and the log ends at {health['end']}"
                raise ReadModelError(message)
            later = str(self._json("GET", "/health?fresh", None)["position"])
            if later != position:
                position, moved_s = later, time.monotonic()
        return position

    def _set_timeout(self, seconds: float) -> None:
        """How long the engine may take for an answer from here on."""
        self._timeout_s = seconds
        if self._connection is not None and self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)

    def _send(self, method: str, path: str, body: bytes | None) -> bytes:
        """Send a request, on a new connection if the kept one was closed; returns the body of a good answer."""
        is_kept = self._connection is not None
        try:
            return self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not is_kept:
                raise self._gone(error) from error
        try:
            return self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._gone(error) from error

    def _gone(self, error: Exception) -> ReadModelError:
        where = f"{self._endpoint.host}:{self._endpoint.port}"
        return ReadModelError(f"the engine does not answer at {where} ({error}); ask again")

    def _connect(self) -> None:
        assert self._connection is not None
        try:
            self._connection.connect()
        except OSError as error:
            if getattr(error, "verify_message", None) is None:
                raise
            where = f"{self._endpoint.host}:{self._endpoint.port}"
            message = f"the certificate of {where} can't be trusted: {error.verify_message}; set CRUCIBLE_URL_CAFILE"  # type: ignore[attr-defined]
            raise UsageError(message) from error

    def _exchange(self, method: str, path: str, body: bytes | None) -> bytes:
        if self._connection is None:
            self._connection = self._endpoint.connection()
            self._connect()
            self._connection.sock.settimeout(self._timeout_s)
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status == http.client.OK:
            return answer
        try:
            problem = json.loads(answer)["error"]
        except (ValueError, KeyError, TypeError):
            problem = f"{response.status} {response.reason}"
        if response.status == http.client.UNAUTHORIZED and self._endpoint.is_shared:
            message = f"{self._endpoint.host}:{self._endpoint.port} refuses CRUCIBLE_URL_TOKEN: {problem}"
            raise UsageError(message)
        if response.status in {http.client.UNAUTHORIZED, http.client.SERVICE_UNAVAILABLE}:
            raise ReadModelError(problem)
        if response.status == http.client.INTERNAL_SERVER_ERROR:
            raise InternalError(problem)
        raise UsageError(problem)


def _includes(position: str, end: Mapping[PartitionKey, int]) -> bool:
    offsets = Position.parse(position).offsets
    return all(offsets.get(key, 0) >= offset for key, offset in end.items())


def connect(place: Place) -> QueryClient | None:
    """A client of the living engine of a log; None if none answers."""
    try:
        return QueryClient(local_endpoint(place))
    except ReadModelError:
        return None
