"""Messages between two processes of one host: a length, then JSON, over a stream socket."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from crucible.errors import InternalError

FRAME_BYTES_MAX = 64 * 1024 * 1024
"""Longest message; a longer one means that the two sides have lost each other."""
READ_BYTES = 64 * 1024
_LENGTH = struct.Struct("<I")

Message = dict[str, Any]


class Channel:
    """One end of a conversation. One thread reads and one writes."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over a connected, blocking socket."""
        self._connection = connection
        self._buffer = bytearray()

    def fileno(self) -> int:
        """The socket's number, for selectors; -1 when closed."""
        return self._connection.fileno()

    def send(self, message: Message) -> None:
        """Send one message. Raises ``OSError`` when the other side has gone."""
        body = json.dumps(message, separators=(",", ":")).encode()
        if len(body) > FRAME_BYTES_MAX:
            text = f"a message of {len(body)} bytes is longer than {FRAME_BYTES_MAX}"
            raise InternalError(text)
        self._connection.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self) -> Message | None:
        """Wait for the next message; None when the other side has gone."""
        while True:
            message = self.next_buffered()
            if message is not None:
                return message
            if not self.fill():
                return None

    def fill(self) -> bool:
        """Read once what is there, waiting if there is nothing; False when the other side has gone."""
        try:
            chunk = self._connection.recv(READ_BYTES)
        except (ConnectionError, TimeoutError):
            return False
        self._buffer += chunk
        return bool(chunk)

    def next_buffered(self) -> Message | None:
        """The next message that has been read completely, or None."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > FRAME_BYTES_MAX:
            text = f"a message of {length} bytes was announced, at most {FRAME_BYTES_MAX} are sent"
            raise InternalError(text)
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        message: Message = json.loads(bytes(self._buffer[_LENGTH.size : end]))
        del self._buffer[:end]
        return message

    def close(self) -> None:
        """Close the socket. Safe to call twice."""
        self._connection.close()
