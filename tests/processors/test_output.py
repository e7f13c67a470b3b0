import os

import pytest

from crucible.processors.output import PART_BYTES, PART_S, Output
from crucible.testing.ports import VirtualClock


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    ends = [reader, writer]
    yield ends
    for end in ends:
        os.close(end)


def test_what_is_printed_is_passed_on_after_a_while(pipe):
    kept, clock = [], VirtualClock()
    output = Output(lambda *part: kept.append(part), clock.monotonic)
    os.write(pipe[1], b"one\n")
    assert output.read("stdout", pipe[0])
    assert (kept, output.due_s) == ([], PART_S)
    output.flush()
    assert (kept, output.due_s) == ([("stdout", b"one\n", 0)], None)


def test_much_output_is_passed_on_at_once(pipe):
    kept = []
    output = Output(lambda *part: kept.append(part), VirtualClock().monotonic)
    for _ in range(PART_BYTES // 4096):
        os.write(pipe[1], b"x" * 4096)
        output.read("stdout", pipe[0], is_rest=True)
    assert [len(data) for _, data, _ in kept] == [PART_BYTES]


def test_both_streams_share_one_limit_and_what_is_above_it_is_counted(pipe):
    kept = []
    output = Output(lambda *part: kept.append(part), VirtualClock().monotonic, bytes_max=5)
    for stream, data in (("stdout", b"abc"), ("stderr", b"defg"), ("stdout", b"h")):
        os.write(pipe[1], data)
        output.read(stream, pipe[0])
    output.finish()
    assert kept == [("stdout", b"abc", 0), ("stderr", b"de", 0), ("stderr", b"", 2), ("stdout", b"", 1)]


def test_a_pipe_without_a_writer_is_told_from_an_empty_one(pipe):
    output = Output(lambda *_: None, VirtualClock().monotonic)
    assert output.read("stdout", pipe[0], is_rest=True)
    os.close(pipe.pop())
    assert not output.read("stdout", pipe[0], is_rest=True)
