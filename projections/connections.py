"""HTTP for a few clients: a thread for each connection, so many at a time, and an end that waits for all of them."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from http.server import ThreadingHTTPServer
from typing import Any

CONNECTIONS_MAX = 256
"""Connections at a time; more are closed at once: each takes a thread, and a file that the log may need."""
CLOSE_WAIT_S = 10.0
"""Longest wait for requests that were interrupted."""


class ConnectionServer(ThreadingHTTPServer):
    """A thread for each connection; remembers the connections, so that closing the port ends them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[Any] = set()
        self._changed = threading.Condition()

    def server_bind(self) -> None:
        """Take the address, without asking a name server what it is called: that may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, or close it if there are too many."""
        with self._changed:
            is_full = len(self._open) >= CONNECTIONS_MAX
            self._open.add(request)
        if is_full:
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection and forget it."""
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def close_connections(self) -> None:
        """End every connection and wait for its thread: an open cursor would keep the model's file locked."""
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, CLOSE_WAIT_S)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no error of ours; its connection is closed by now."""
