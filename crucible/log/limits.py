"""What no engine appends: refused here, before anything is written, so that all engines refuse the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crucible.errors import LogRefusedError
from crucible.log.protocol import BATCH_BYTES_MAX, BATCH_VALUES_MAX, KEY_BYTES_MAX, TOPICS, Batch
from crucible.records.record import Topic


def check_batches(batches: Sequence[Batch], partitions: Callable[[Topic], Sequence[int]]) -> None:
    """Raise ``LogRefusedError`` for the first batch that is empty, above a limit, or of no topic or partition."""
    for batch in batches:
        problem = _problem(batch)
        if problem is None and batch.partition is not None and batch.partition not in partitions(batch.topic):
            problem = f"there is no partition {batch.partition}"
        if problem is not None:
            message = f"{batch.topic}, key {batch.key[:80]!r}: {problem}; nothing was appended"
            raise LogRefusedError(message)


def _problem(batch: Batch) -> str | None:
    if batch.topic not in TOPICS:
        return f"there is no such topic, only {', '.join(TOPICS)}"
    size_bytes = sum([len(outgoing.value) for outgoing in batch.values])
    if not batch.values:
        return "a batch holds at least one value"
    if len(batch.values) > BATCH_VALUES_MAX:
        return f"a batch of {len(batch.values):,} values; at most {BATCH_VALUES_MAX:,} go into one: append several"
    if size_bytes > BATCH_BYTES_MAX:
        return f"a batch of {size_bytes:,} bytes; at most {BATCH_BYTES_MAX:,} go into one: append several, or a blob"
    return _key_problem(batch.key)


def _key_problem(key: str) -> str | None:
    try:
        key_bytes = len(key.encode())
    except UnicodeEncodeError:
        return "a key is text that UTF-8 can hold"
    if key_bytes > KEY_BYTES_MAX:
        return f"a key of {key_bytes:,} bytes; at most {KEY_BYTES_MAX:,}"
    return None
