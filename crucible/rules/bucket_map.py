"""A mapping that never changes and is cheap to extend: what a limit remembers of ten thousand holders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

BUCKETS = 128
"""Copies at each change: this many references and one bucket."""


class BucketMap(Mapping[str, int]):
    """Numbers by name in hashed buckets; ``with_item`` copies one bucket and shares the others."""

    __slots__ = ("_buckets",)

    def __init__(self, buckets: tuple[Mapping[str, int], ...] = ({},) * BUCKETS) -> None:
        """Hold these buckets; all empty by default."""
        self._buckets = buckets

    def with_item(self, name: str, number: int) -> BucketMap:
        """The same mapping with one item set."""
        index = hash(name) % BUCKETS
        buckets = self._buckets
        return BucketMap((*buckets[:index], {**buckets[index], name: number}, *buckets[index + 1 :]))

    def get(self, name: str, default: Any = None) -> Any:
        """The number of a name; ``Mapping.get`` raises and catches an error for each name that is new."""
        return self._buckets[hash(name) % BUCKETS].get(name, default)

    def __getitem__(self, name: str) -> int:
        return self._buckets[hash(name) % BUCKETS][name]

    def __iter__(self) -> Iterator[str]:
        for bucket in self._buckets:
            yield from bucket

    def __len__(self) -> int:
        return sum(map(len, self._buckets))
