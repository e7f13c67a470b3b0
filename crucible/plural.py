"""Words that follow a number."""

from __future__ import annotations


def plural(count: object, one: str, many: str | None = None) -> str:
    """``one`` after the number 1, else ``many``, which has one letter s more if it is not given."""
    return one if count == 1 else many or f"{one}s"
