"""Frames: what goes in comes out, and nothing else does."""

import random

import pytest

from crucible.log.frame import FrameError, claimed_bytes, follows, make_body, open_frame, seal, stored_values, tail_of


def frame_of(key="key", values=(b"one", b"", b"three"), first=7, previous=99, at_us=5):
    return seal(make_body("telemetry", key, values), first, previous, at_us)


def test_a_frame_gives_back_what_was_sealed():
    data, crc = frame_of()
    frame = open_frame(data)
    assert (frame.topic, frame.first, frame.value_count, frame.end) == ("telemetry", 7, 3, 10)
    assert (frame.previous, frame.crc, frame.appended_at_us) == (99, crc, 5)
    stored = stored_values(frame, 0, 7, 10)
    assert [(each.offset, each.key, each.value) for each in stored] == [
        (7, "key", b"one"),
        (8, "key", b""),
        (9, "key", b"three"),
    ]
    assert claimed_bytes(data[:60]) == len(data)
    assert tail_of(frame) == make_body("telemetry", "key", (b"one", b"", b"three")).tail


def test_values_can_be_taken_from_the_middle_of_a_frame():
    frame = open_frame(frame_of()[0])
    assert [each.value for each in stored_values(frame, 0, 8, 1)] == [b""]
    assert [each.offset for each in stored_values(frame, 0, 9, 5)] == [9]


def test_no_flipped_bit_of_a_frame_goes_unnoticed():
    data, _ = frame_of(values=[bytes(20), b"x" * 30])
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            open_frame(bytes(flipped))


def test_a_frame_that_is_cut_or_filled_up_is_none():
    data, _ = frame_of()
    for length in range(len(data)):
        with pytest.raises(FrameError):
            open_frame(data[:length])
    with pytest.raises(FrameError):
        open_frame(data + b"\0")


def test_random_bytes_are_no_frame():
    chance = random.Random(1)
    for _ in range(500):
        with pytest.raises(FrameError):
            open_frame(chance.randbytes(chance.randrange(100)))
        with pytest.raises(FrameError):
            open_frame(frame_of()[0][:4] + chance.randbytes(80))


def test_the_same_batch_at_another_place_or_after_another_frame_has_another_checksum():
    crcs = {frame_of(first=first, previous=previous)[1] for first in range(20) for previous in range(20)}
    assert len(crcs) == 400


def test_a_frame_follows_only_the_one_that_it_names():
    frame = open_frame(frame_of()[0])
    assert follows(frame, 7, 99)
    assert follows(frame, 9, None)
    assert not follows(frame, 7, 98)
    assert not follows(frame, 6, 99)
    assert not follows(frame, 10, 99)
