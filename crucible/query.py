"""Asking the living engine: a client of the query port.

It speaks HTTP through the standard library: importing httpx costs a third of the time that ``crucible ls`` may take,
and this is one connection to 127.0.0.1 without redirects, proxies or TLS.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crucible.errors import InternalError, ReadModelError, UsageError
from crucible.log.protocol import PartitionKey
from crucible.place import Place
from crucible.position import Position
from crucible.query_format import Row, decode_columns

if TYPE_CHECKING:
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

DIGEST_TIMEOUT_S = 3_700.0
"""As much for the digest of everything."""

Parameters = Sequence[object] | Mapping[str, object]


class QueryClient:
    """A connection to a query port. For one thread; close it."""

    def __init__(self, place: Place) -> None:
        """Connect, and wait until the read model holds what is on the log now: one that is rebuilt takes a while.

        Raises ``ReadModelError`` if no engine has written an address, or it does not answer or move.
        """
        try:
            owner = json.loads(place.owner.read_text(encoding="utf-8"))
            self._address: tuple[str, int] = (owner["host"], owner["port"])
            self._headers = {"Authorization": f"Bearer {owner['token']}", "Content-Type": "application/json"}
            log_id = owner["log_id"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"no engine is running for {place.root}"
            raise ReadModelError(message) from error
        self._connection: http.client.HTTPConnection | None = None
        self._timeout_s = HEALTH_TIMEOUT_S
        try:
            health = self._json("GET", "/health?fresh", None)
        except (InternalError, UsageError) as error:  # no engine answers like that
            self.close()
            raise self._gone(error) from error
        if health.get("log_id") != log_id:
            self.close()
            message = f"the port in {place.owner} is of another log"
            raise ReadModelError(message)
        self._position = self._caught_up(health)
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
        host, port = self._address
        return ReadModelError(f"the engine does not answer at {host}:{port} ({error}); ask again")

    def _exchange(self, method: str, path: str, body: bytes | None) -> bytes:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._address, timeout=CONNECT_TIMEOUT_S)
            self._connection.connect()
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
        return QueryClient(place)
    except ReadModelError:
        return None
