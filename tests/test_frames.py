import json
import math
import socket
import struct

import pytest

from crucible.errors import InternalError
from crucible.frames import FRAME_BYTES_MAX, Channel


@pytest.fixture
def ends():
    left, right = socket.socketpair()
    yield left, right
    left.close()
    right.close()


def test_messages_come_in_order_however_they_are_cut(ends):
    left, right = ends
    messages = [{"n": number, "text": "ü" * number} for number in range(50)]
    whole = b""
    for message in messages:
        body = json.dumps(message).encode()
        whole += struct.pack("<I", len(body)) + body
    channel = Channel(right)
    received = []
    for start in range(0, len(whole), 7):
        left.sendall(whole[start : start + 7])
        assert channel.fill()
        while (message := channel.next_buffered()) is not None:
            received.append(message)
    assert received == messages


def test_numbers_that_json_has_no_word_for_survive(ends):
    left, right = ends
    Channel(left).send({"values": [float("inf"), float("nan")]})
    infinite, no_number = Channel(right).receive()["values"]
    assert infinite == float("inf")
    assert math.isnan(no_number)


def test_the_end_of_the_other_side_is_none(ends):
    left, right = ends
    left.close()
    assert Channel(right).receive() is None


def test_an_announced_length_that_no_message_has_is_an_error(ends):
    left, right = ends
    left.sendall(struct.pack("<I", FRAME_BYTES_MAX + 1))
    with pytest.raises(InternalError, match="was announced"):
        Channel(right).receive()
