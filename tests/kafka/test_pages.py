"""Pages that were read ahead."""

from crucible.log.kafka.pages import STORED_BYTES, Pages
from crucible.log.protocol import READ_BYTES_MAX, Stored

EVENTS = ("events", 0)


def page(first, count, size=1, key=EVENTS):
    topic, partition = key
    return [Stored(topic, partition, offset, "k", bytes(size), 0) for offset in range(first, first + count)]


def offsets(values):
    return [stored.offset for stored in values]


def test_what_was_kept_is_found_from_any_offset_in_it():
    pages = Pages()
    pages.put(EVENTS, page(10, 5))
    pages.put(EVENTS, page(15, 5))
    assert offsets(pages.take(EVENTS, 10, 100)) == [10, 11, 12, 13, 14]
    assert offsets(pages.take(EVENTS, 13, 100)) == [13, 14]
    assert offsets(pages.take(EVENTS, 16, 2)) == [16, 17]


def test_what_was_not_kept_is_not_there():
    pages = Pages()
    pages.put(EVENTS, page(10, 5))
    pages.put(EVENTS, page(20, 5))
    pages.put(EVENTS, [])
    for offset in (0, 9, 15, 19, 25):
        assert pages.take(EVENTS, offset, 1) == ()
    assert pages.take(("events", 1), 10, 1) == ()
    assert pages.take(("telemetry", 0), 10, 1) == ()


def test_memory_is_bounded_and_what_was_used_last_stays():
    pages = Pages(bytes_max=3 * 10 * (1 + STORED_BYTES))
    for number in range(3):
        pages.put(EVENTS, page(10 * number, 10))
    assert pages.take(EVENTS, 0, 1)
    pages.put(EVENTS, page(30, 10))
    assert pages.take(EVENTS, 0, 1)
    assert pages.take(EVENTS, 10, 1) == ()
    assert pages.memory_bytes == 3 * 10 * (1 + STORED_BYTES)


def test_a_page_that_comes_twice_is_counted_once():
    pages = Pages()
    pages.put(EVENTS, page(0, 10))
    pages.put(EVENTS, page(0, 20))
    assert len(pages.take(EVENTS, 0, 100)) == 20
    assert pages.memory_bytes == 20 * (1 + STORED_BYTES)


def test_one_page_above_the_bound_is_kept_all_the_same():
    pages = Pages(bytes_max=10)
    pages.put(EVENTS, page(0, 10))
    pages.put(EVENTS, page(10, 10))
    assert pages.take(EVENTS, 0, 1) == ()
    assert offsets(pages.take(EVENTS, 10, 1)) == [10]


def test_what_is_taken_is_bounded_in_bytes_and_makes_progress():
    pages = Pages()
    pages.put(EVENTS, page(0, 3, READ_BYTES_MAX // 2 + 1))
    pages.put(EVENTS, page(3, 2, READ_BYTES_MAX + 1))
    assert offsets(pages.take(EVENTS, 0, 100)) == [0]
    assert offsets(pages.take(EVENTS, 3, 100)) == [3]


def test_a_partition_is_forgotten_alone():
    pages = Pages()
    other = ("events", 1)
    pages.put(EVENTS, page(0, 10))
    pages.put(EVENTS, page(10, 10))
    pages.put(other, page(0, 10, key=other))
    pages.forget(EVENTS)
    assert pages.take(EVENTS, 0, 1) == pages.take(EVENTS, 10, 1) == ()
    assert pages.take(other, 0, 1)
    assert pages.memory_bytes == 10 * (1 + STORED_BYTES)
