"""The query port: the one process that owns the read model answers SQL for all others of this host and user.

HTTP on 127.0.0.1, a random port and a random token, both in ``owner.json`` (mode 0600); for other hosts, TLS at an
address that is given, with a token that is given. ``POST /query`` answers a
SELECT; ``GET /health`` says whose log this is and how far it was read, ``GET /statistics`` how the read model does,
``GET /digest`` what it holds; ``POST /copy`` makes a copy of it on a workbench, ``POST /snapshot`` one for all.
A thread for each connection, a DuckDB cursor for each thread, connections kept open between queries.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hmac
import json
import os
import secrets
import ssl
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

from crucible.errors import CrucibleError, ReadModelError, StorageError, UsageError
from crucible.place import Place
from crucible.position import Position
from crucible.projections.asked_model import AskedModel
from crucible.projections.connections import ConnectionServer
from crucible.projections.listening import Listening
from crucible.projections.queries import (
    QUERY_TIME_MAX_S,
    RESULT_BYTES_MAX,
    RESULT_ROWS_MAX,
    AnswerTooLargeError,
    Limits,
    QueryTimeoutError,
    Session,
    Watchdog,
)
from crucible.projections.workbench import FOLDER as WORKBENCH
from crucible.query_format import encode_columns, encode_rows

HOST = "127.0.0.1"
BODY_BYTES_MAX = 4 * 1024**2
"""Longest request body."""
IDLE_TIMEOUT_S = 300.0
"""A connection without a request for this long is closed."""
STRANGER_TIMEOUT_S = 10.0
"""As much for a connection that has not shown the token yet."""
WAIT_MAX_S = 30.0
"""Longest wait for a position."""
FRESH_WAIT_S = 2.0
"""Longest wait of ``GET /health?fresh`` for what was on the log when it was asked."""
QUERIES_AT_ONCE = 8
"""Queries that run at a time; others wait."""
TOKEN_BYTES = 24
PATHS = "unknown path; there are /query, /health, /statistics, /digest, /copy and /snapshot"


class QueryPort:
    """Serves queries from the moment that it is made until ``close``."""

    def __init__(self, model: AskedModel, place: Place, where: Listening | None = None) -> None:
        """Listen on this host, and say where in ``owner.json``; with ``where`` for other hosts.

        Raises ``StorageError`` if the address is taken.
        """
        self._model = model
        self._owner_path = place.owner
        self._workbench = place.model_root / WORKBENCH
        self._token = secrets.token_urlsafe(TOKEN_BYTES) if where is None else where.token
        self.is_public = where is not None
        """It answers other hosts: no file is written for them."""
        self._watchdog = Watchdog()
        self._slots = threading.BoundedSemaphore(QUERIES_AT_ONCE)
        self._server = _listen(where)
        self._server.port = self
        self.number: int = self._server.server_address[1]
        """The TCP port."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="crucible-query-port", daemon=True
        )
        self._thread.start()
        try:
            if not self.is_public:
                write_owner(self._owner_path, self.owner)
        except BaseException:
            self.close()
            raise

    @property
    def owner(self) -> dict[str, Any]:
        """What ``owner.json`` holds."""
        return {
            "host": HOST,
            "port": self.number,
            "token": self._token,
            "pid": os.getpid(),
            "log_id": self._model.journal.log_id,
        }

    def close(self) -> None:
        """Stop answering, and take ``owner.json`` back if it is still ours. Safe to call twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._watchdog.interrupt_all()
            self._server.close_connections()
            self._watchdog.close()
        self._server.server_close()
        with contextlib.suppress(OSError, ValueError, AttributeError):  # whatever it is now, it is not ours
            if json.loads(self._owner_path.read_text()).get("token") == self._token:
                self._owner_path.unlink()

    @property
    def generation(self) -> int:
        """Changes when sessions that are open do not see what is new."""
        return self._model.generation

    def open_session(self) -> Session:
        """A session for one connection."""
        return self._model.open_session(self._watchdog)

    def is_known(self, authorization: str | None) -> bool:
        """Whether a request carries the token."""
        return hmac.compare_digest((authorization or "").encode(), f"Bearer {self._token}".encode())

    def health(self, *, is_fresh: bool) -> dict[str, Any]:
        """Whose log this is and how far it was read, after waiting a little for what is there now if ``is_fresh``.

        ``end`` is then what was there: a model that is being rebuilt takes longer to include it.
        """
        health = {"log_id": self._model.journal.log_id}
        if is_fresh:
            end = self._model.ends()
            self._model.wait_for(end, FRESH_WAIT_S)
            health["end"] = str(end)
        return {**health, "position": str(self._model.position)}

    def statistics(self) -> dict[str, Any]:
        """How the read model does."""
        return dataclasses.asdict(self._model.statistics())

    def digest(self, open_session: Callable[[], Session]) -> dict[str, Any]:
        """The position that the model has now caught up with, judged, and rows and digest of each table."""
        self._model.catch_up()
        position, model = open_session().model_digest()
        return {"position": str(position), "tables": {name: [t.rows, t.hex] for name, t in model.tables.items()}}

    def copy(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a copy of the read model on a workbench; its position. Raises ``UsageError``, ``SnapshotError``."""
        self._require_private()
        target = Path(str(request.get("path", "")))
        if target.parent.resolve().parent != self._workbench.resolve() or target.exists():
            message = f"path: expected a new file in a folder of {self._workbench}, got {str(target)!r}"
            raise UsageError(message)
        return {"position": str(self._model.copy_to(target))}

    def snapshot(self) -> dict[str, Any]:
        """Publish a copy, unless the last one is as new; its position. Raises as ``copy``."""
        self._require_private()
        return {"position": str(self._model.take_copy())}

    def _require_private(self) -> None:
        if self.is_public:
            message = "no file is written for another host"
            raise UsageError(message)

    def answer(self, open_session: Callable[[], Session], request: dict[str, Any]) -> tuple[str, bytes]:
        """Content type and body of the answer to a query. Raises ``UsageError`` for a wrong one."""
        sql, parameters, form = _query_of(request)
        limits = _limits_of(request)
        after = request.get("after")
        if after is not None and not self._model.wait_for(Position.parse(str(after)), min(limits.time_s, WAIT_MAX_S)):
            message = f"the read model has not reached {after}, it is at {self._model.position}; try again"
            raise QueryTimeoutError(message)
        if not self._slots.acquire(timeout=limits.time_s):
            message = f"{QUERIES_AT_ONCE} other queries are running; try again"
            raise QueryTimeoutError(message)
        try:
            self._model.wake()
            session = open_session()
            position = str(self._model.position)
            if form == "arrow":
                return "application/vnd.apache.arrow.stream", session.arrow(sql, parameters, limits)
            answer = session.rows(sql, parameters, limits)
        finally:
            self._slots.release()
        if form == "csv":
            return "text/csv; charset=utf-8", _csv(answer.names, answer.rows)
        encode = encode_columns if form == "columns" else encode_rows
        body = encode(answer.names, answer.types, answer.rows, position)
        if len(body) > limits.size_bytes:
            message = f"the answer is larger than {limits.size_bytes} bytes; narrow it, or use a snapshot"
            raise AnswerTooLargeError(message)
        return "application/json", body


class _Server(ConnectionServer):
    """The port's server."""

    port: QueryPort
    tls: ssl.SSLContext | None = None


def _listen(where: Listening | None) -> _Server:
    if where is None:
        return _Server((HOST, 0), _Handler)
    try:
        server = _Server((where.host, where.port), _Handler)
    except OSError as error:
        message = f"the query port can't listen at {where.host}:{where.port}: {error.strerror or error}"
        raise StorageError(message) from error
    server.tls = where.tls
    return server


class _Handler(BaseHTTPRequestHandler):
    """Requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = STRANGER_TIMEOUT_S
    session: Session | None = None
    generation = 0

    def setup(self) -> None:
        """Shake hands in the connection's own thread: a client that does not must not keep others waiting."""
        tls = cast("_Server", self.server).tls
        if tls is not None:
            self.request.settimeout(STRANGER_TIMEOUT_S)
            self.request = tls.wrap_socket(self.request, server_side=True)
        super().setup()

    @property
    def port(self) -> QueryPort:
        return cast("_Server", self.server).port

    def finish(self) -> None:
        if self.session is not None:
            self.session.close()
        with contextlib.suppress(OSError):  # the client has gone: there is nobody to tell
            super().finish()

    def do_GET(self) -> None:
        path, _, options = self.path.partition("?")
        if path == "/health":
            self._respond(lambda: self.port.health(is_fresh=options == "fresh"))
        elif path == "/statistics":
            self._respond(self.port.statistics)
        elif path == "/digest":
            self._respond(lambda: self.port.digest(self._session))
        else:
            self._send_problem(HTTPStatus.NOT_FOUND, PATHS)

    def do_POST(self) -> None:
        body = self._read_body()
        if body is None:
            return
        if self.path == "/copy":
            self._respond(lambda: self.port.copy(_object_of(body)))
        elif self.path == "/snapshot":
            self._respond(self.port.snapshot)
        elif self.path == "/query":
            self._respond(lambda: self._answer(body))
        else:
            self._send_problem(HTTPStatus.NOT_FOUND, PATHS)

    def log_message(self, *_: object) -> None:
        """Say nothing: every query would be a line."""

    def _answer(self, body: bytes) -> tuple[str, bytes]:
        return self.port.answer(self._session, _object_of(body))

    def _session(self) -> Session:
        generation = self.port.generation
        if self.session is not None and generation != self.generation:
            self.session.close()
            self.session = None
        if self.session is None:
            self.session, self.generation = self.port.open_session(), generation
        return self.session

    def _respond(self, make: Any) -> None:
        """Send what ``make`` returns, or the problem that it raises."""
        if not self.port.is_known(self.headers.get("Authorization")):
            self._send_problem(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
            return
        self.connection.settimeout(IDLE_TIMEOUT_S)
        try:
            made = make()
        except QueryTimeoutError as error:
            self._send_problem(HTTPStatus.GATEWAY_TIMEOUT, str(error))
        except AnswerTooLargeError as error:
            self._send_problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        except UsageError as error:
            self._send_problem(HTTPStatus.BAD_REQUEST, str(error))
        except CrucibleError as error:
            self._send_problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception as error:  # noqa: BLE001  a thread of the server must answer, whatever happened
            self._send_problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}")
        else:
            kind, body = made if isinstance(made, tuple) else ("application/json", json.dumps(made).encode())
            self._send(HTTPStatus.OK, kind, body)

    def _read_body(self) -> bytes | None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if 0 <= length <= BODY_BYTES_MAX:
            return self.rfile.read(length)
        self.close_connection = True
        self._send_problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {BODY_BYTES_MAX} bytes")
        return None

    def _send_problem(self, status: HTTPStatus, message: str) -> None:
        self._send(status, "application/json", json.dumps({"error": message}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def write_owner(path: Path, owner: dict[str, Any]) -> None:
    """Write ``owner.json``: whole or not at all, for this user alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(owner, file)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        message = f"the address of the query port can't be written to {path}: {error.strerror}"
        raise ReadModelError(message) from error


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except ValueError as error:
        message = f"the body is no JSON: {error}"
        raise UsageError(message) from error
    if not isinstance(request, dict):
        message = 'the body is no JSON object; expected {"sql": …, "params": […]}'
        raise UsageError(message)
    return request


def _query_of(request: dict[str, Any]) -> tuple[str, Any, str]:
    sql, parameters, form = request.get("sql"), request.get("params", []), request.get("format", "json")
    if not isinstance(sql, str):
        message = "the request has no sql"
        raise UsageError(message)
    if not isinstance(parameters, list | dict):
        message = "params: expected a list or an object"
        raise UsageError(message)
    if form not in {"json", "columns", "arrow", "csv"}:
        message = f"format: expected json, arrow or csv, got {form!r}"
        raise UsageError(message)
    return sql, parameters, form


def _limits_of(request: dict[str, Any]) -> Limits:
    """Limits that a request names, never above our own."""

    def named(name: str, most: float) -> float:
        value = request.get(name, most)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            message = f"{name}: expected a number above 0, got {value!r}"
            raise UsageError(message)
        return min(value, most)

    return Limits(
        time_s=named("time_s", QUERY_TIME_MAX_S),
        rows=int(named("rows_max", RESULT_ROWS_MAX)),
        size_bytes=int(named("bytes_max", RESULT_BYTES_MAX)),
    )


def _csv(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> bytes:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()
