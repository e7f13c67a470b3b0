"""Arrays and a few facts about them as one safetensors file, the same bytes for the same content.

The facts are one metadata entry of canonical JSON: the library writes several entries in an order that changes from
call to call, and then the digest of a checkpoint would, too.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from crucible.canonical import canonical_json
from crucible.errors import AdapterError

ENTRY: Final = "crucible"
HEADER_BYTES_MAX: Final = 1 << 20


def pack(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> bytes:
    """Return the file; ``facts`` are JSON values."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return bytes(safetensors.numpy.save(contiguous, metadata={ENTRY: canonical_json(dict(facts))}))


def unpack(content: bytes, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return arrays (own copies, writable) and facts; AdapterError unless it is a file of ours of this ``kind``."""
    try:
        arrays = {name: np.array(array) for name, array in safetensors.numpy.load(content).items()}
        (header_bytes,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + min(header_bytes, HEADER_BYTES_MAX)])
        facts = json.loads(header["__metadata__"][ENTRY])
    except (safetensors.SafetensorError, struct.error, ValueError, KeyError, TypeError) as error:
        message = f"not a file that this adapter wrote: {error}"
        raise AdapterError(message) from error
    if facts.get("kind") != kind:
        message = f"a file of kind {facts.get('kind')!r}, expected {kind!r}"
        raise AdapterError(message)
    return arrays, facts
