"""One text and one digest for each value: RFC 8785 JSON and SHA-256.

Digests of parts are joined with a separator that can't stand in them, so that no two lists of parts run together.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import rfc8785

SEPARATOR = "\x1f"


def canonical_json(value: Any) -> str:
    """``value`` as RFC 8785 JSON: sorted keys, shortest numbers, no spaces.

    Raises ``ValueError`` for NaN, infinity and integers beyond 2**53, which JSON can't carry.
    """
    return rfc8785.dumps(value).decode()


def parse_json(text: str) -> Any:
    """The value of a JSON text that we wrote."""
    return json.loads(text)


def digest_bytes(data: bytes) -> str:
    """SHA-256 of bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, hexadecimal."""
    return digest_bytes(canonical_json(value).encode())


def hash_parts(*parts: str | int) -> bytes:
    """SHA-256 over parts, in order, 32 bytes."""
    return hashlib.sha256(SEPARATOR.join(str(part) for part in parts).encode()).digest()


def derived_id(*parts: str | int) -> str:
    """A UUIDv8 (RFC 9562) that the same parts always give: the id of an event that a rule produces."""
    number = int.from_bytes(hash_parts(*parts)[:16], "big")
    number = number & ~(0xF << 76) | (0x8 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=number))
