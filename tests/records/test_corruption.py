"""Whatever the bytes are, the decoder gives a record that can be written again, or a RecordError.

``CRUCIBLE_FUZZ_FRAMES`` sets how many mutated frames are tried (20,000 without it), ``CRUCIBLE_FUZZ_SEED`` the seed.
"""

import os
import random
import tracemalloc
from collections import Counter

from crucible.codec import decode, encode
from crucible.errors import RecordError
from crucible.records import RECORD_TYPES
from crucible.testing.ports import START_US
from tests.golden.sample import sample
from tests.records.samples import metric_batch

FRAMES = int(os.environ.get("CRUCIBLE_FUZZ_FRAMES", "20000"))
SEED = int(os.environ.get("CRUCIBLE_FUZZ_SEED", "1"))
MEMORY_BYTES_MAX = 64 * 1024 * 1024


def flip_bit(source, frame, _):
    place = source.randrange(len(frame) * 8)
    frame[place // 8] ^= 1 << place % 8


def change_byte(source, frame, _):
    frame[source.randrange(len(frame))] = source.randrange(256)


def cut(source, frame, _):
    del frame[source.randrange(len(frame)) :]


def drop_bytes(source, frame, _):
    start = source.randrange(len(frame))
    del frame[start : start + source.randint(1, 9)]


def insert_bytes(source, frame, _):
    start = source.randrange(len(frame))
    frame[start:start] = source.randbytes(source.randint(1, 9))


def double_part(source, frame, _):
    start = source.randrange(len(frame))
    frame[start:start] = frame[start : start + source.randint(1, 40)]


def wide_number(source, frame, _):
    start = source.randrange(5, len(frame) + 1)
    frame[start : start + 1] = source.choice([b"\xff" * 9 + b"\x01", b"\xfe" * 9 + b"\x01", b"\xff" * 40, b"\x80" * 12])


def other_tail(source, frame, others):
    other = source.choice(others)
    place = source.randrange(min(len(frame), len(other)))
    frame[place:] = other[place:]


def other_schema(source, frame, others):
    frame[:5] = source.choice(others)[:5]


MUTATIONS = (
    flip_bit,
    change_byte,
    cut,
    drop_bytes,
    insert_bytes,
    double_part,
    wide_number,
    other_tail,
    other_schema,
)


def frames():
    short = [encode(sample(name, variant)) for name in sorted(RECORD_TYPES) for variant in (0, 1)]
    return [*short, *[encode(long_batch())] * (len(short) // 4)]


def long_batch():
    """A batch whose columns are read as a whole."""
    count = 100
    return metric_batch(
        name_index=[0, 1] * (count // 2),
        step=list(range(count)),
        time_us=[START_US + point * 1_000 for point in range(count)],
        value=[point / 7 for point in range(count)],
    )


def test_mutated_frames_give_a_record_or_a_record_error():
    source = random.Random(SEED)
    whole = frames()
    outcomes = Counter()
    for _ in range(FRAMES):
        frame = bytearray(source.choice(whole))
        for mutate in source.choices(MUTATIONS, k=source.choice((1, 1, 1, 2, 4))):
            if len(frame) > 5:
                mutate(source, frame, whole)
        outcome = decoded(bytes(frame))
        outcomes[outcome] += 1
    assert outcomes["refused"] > FRAMES // 4
    assert outcomes["taken"] > FRAMES // 50  # a frame has no checksum: that is the log's matter


def decoded(frame):
    """``refused`` or ``taken``; any other error escapes and fails the test."""
    try:
        record = decode(frame)
    except RecordError:
        return "refused"
    if record is None:
        return "unknown"
    assert decode(encode(record)) is not None
    return "taken"


def test_random_bytes_behind_a_header_give_a_record_or_a_record_error():
    source = random.Random(SEED)
    headers = [frame[:5] for frame in frames()]
    outcomes = Counter(decoded(source.choice(headers) + source.randbytes(source.randrange(200))) for _ in range(2_000))
    assert outcomes["refused"] > 1_000


def test_a_length_beyond_the_bytes_takes_no_memory():
    frame = encode(sample("MetricBatch", 0))
    tracemalloc.start()
    try:
        for start in range(5, len(frame)):
            decoded(frame[:start] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + frame[start:])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BYTES_MAX
