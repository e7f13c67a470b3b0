"""The read half of Confluent's Schema Registry HTTP API over the topic ``schemas`` of a log.

Any Avro consumer and any Kafka page can so read our topics without another server. What is on the topic when a request
comes is in the answer. Nothing is ever written: who asks for that gets the API's own error.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

from crucible.errors import CrucibleError, UsageError
from crucible.log_schemas import LogSchemas
from crucible.projections.connections import ConnectionServer
from crucible.projections.registry_answers import ApiError, answer
from crucible.projections.subjects import Subjects

CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
BODY_BYTES_MAX: Final = 1 << 20
"""Longest request body."""
IDLE_TIMEOUT_S: Final = 60.0
"""A connection without a request for this long is closed."""


class RegistryPort:
    """Serves the schemas of a log from the moment that it is made until ``close``."""

    def __init__(self, schemas: LogSchemas, *, prefix: str, host: str, port: int) -> None:
        """``prefix`` is what the names of the log's topics begin with; port 0 takes a free one.

        Raises ``UsageError`` for an address that can't be had.
        """
        self._schemas = schemas
        self._prefix = prefix
        self._seen = -1
        self._subjects = Subjects.of((), prefix)
        self._lock = threading.Lock()
        try:
            self._server = _Server((host, port), _Handler)
        except (OSError, OverflowError) as error:
            message = f"{host}:{port} can't be listened at: {error}; choose another one with --host and --port"
            raise UsageError(message) from None
        self._server.port = self
        self.number: int = self._server.server_address[1]
        """The TCP port."""
        self.url = f"http://{host}:{self.number}"
        """Where it answers."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="crucible-registry", daemon=True
        )
        self._thread.start()

    def subjects(self) -> Subjects:
        """The subjects of the log as it is now. Raises as ``LogSchemas.read``."""
        with self._lock:
            found = self._schemas.found()
            if len(found) != self._seen:
                self._subjects = Subjects.of(found, self._prefix)
                self._seen = len(found)
            return self._subjects

    def close(self) -> None:
        """Stop answering. Safe to call twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.close_connections()
        self._server.server_close()


class _Server(ConnectionServer):
    """The port's server."""

    port: RegistryPort


class _Handler(BaseHTTPRequestHandler):
    """Requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_TIMEOUT_S

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_PUT(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def log_message(self, *_: object) -> None:
        """Say nothing: every consumer asks."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request of the API is answered in its form as well."""
        self.close_connection = True
        self._send(HTTPStatus(code), {"error_code": code, "message": message or explain or HTTPStatus(code).phrase})

    def _respond(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= BODY_BYTES_MAX:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {BODY_BYTES_MAX} bytes")
            return
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        path = tuple(unquote(part) for part in parts.path.strip("/").split("/"))
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        subjects = cast("_Server", self.server).port.subjects
        self._send(*_outcome(lambda: answer(subjects(), self.command, path, options, body)))

    def _send(self, status: HTTPStatus, answered: Any) -> None:
        body = json.dumps(answered).encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _outcome(make: Callable[[], Any]) -> tuple[HTTPStatus, Any]:
    """Status and body of what ``make`` returns or raises."""
    try:
        return HTTPStatus.OK, make()
    except ApiError as error:
        return error.status, {"error_code": error.code, "message": str(error)}
    except CrucibleError as error:
        return HTTPStatus.INTERNAL_SERVER_ERROR, {"error_code": 50001, "message": str(error)}
    except Exception as error:  # noqa: BLE001  a thread of the server must answer, whatever happened
        return HTTPStatus.INTERNAL_SERVER_ERROR, {"error_code": 500, "message": f"{type(error).__name__}: {error}"}
