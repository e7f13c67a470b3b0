"""A mapping that never changes and is cheap to make another one of: what a limit knows of ten thousand holders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

BUCKETS = 128
"""Copies at each change: this many references and one bucket."""


class BucketMap(Mapping[str, int]):
    """Numbers by name in hashed buckets; what makes another mapping copies one bucket and shares the others."""

    __slots__ = ("_buckets", "_count")

    def __init__(self, buckets: tuple[Mapping[str, int], ...] = ({},) * BUCKETS, count: int = 0) -> None:
        """Hold these buckets with ``count`` items in all; empty by default."""
        self._buckets = buckets
        self._count = count

    def with_item(self, name: str, number: int) -> BucketMap:
        """The same mapping with one item set."""
        bucket = self._buckets[hash(name) % BUCKETS]
        return self._with_bucket(name, {**bucket, name: number}, self._count + (name not in bucket))

    def without_item(self, name: str) -> BucketMap:
        """The same mapping without one item, if there is such a one."""
        bucket = self._buckets[hash(name) % BUCKETS]
        if name not in bucket:
            return self
        return self._with_bucket(name, {other: bucket[other] for other in bucket if other != name}, self._count - 1)

    def get(self, name: str, default: Any = None) -> Any:
        """The number of a name; ``Mapping.get`` raises and catches an error for each name that is new."""
        return self._buckets[hash(name) % BUCKETS].get(name, default)

    def _with_bucket(self, name: str, bucket: Mapping[str, int], count: int) -> BucketMap:
        index = hash(name) % BUCKETS
        buckets = self._buckets
        return BucketMap((*buckets[:index], bucket, *buckets[index + 1 :]), count)

    def __contains__(self, name: object) -> bool:
        return name in self._buckets[hash(name) % BUCKETS]

    def __getitem__(self, name: str) -> int:
        return self._buckets[hash(name) % BUCKETS][name]

    def __iter__(self) -> Iterator[str]:
        for bucket in self._buckets:
            yield from bucket

    def __len__(self) -> int:
        return self._count
