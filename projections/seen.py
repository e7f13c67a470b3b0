"""Which keys a projection has met: so that the first record of a new key asks the tables nothing.

Every run of a log that is read from its beginning is new once. To look for its events among all others each time would
make the reading of a log take the square of its length, and to keep every key would take memory without bound.
"""

from __future__ import annotations

BITS = 2**24
"""Two megabytes: of a million keys one new one in 500 is looked for in vain, of ten millions most."""
_HALF = 2**32 - 1
_PROBES = range(4)


class SeenKeys:
    """A Bloom filter (Bloom, CACM 13:7, 1970, method 2) of keys. What it has not met is new for certain."""

    def __init__(self) -> None:
        """Nothing was met yet."""
        self._bits = bytearray(BITS // 8)

    def meet(self, key: str) -> bool:
        """Note a key; whether it may have been met before. False is certain."""
        bits, hashed = self._bits, hash(key)
        first, step = hashed & _HALF, (hashed >> 32) & _HALF | 1
        is_known = True
        for probe in _PROBES:
            place = (first + probe * step) % BITS
            byte, bit = place >> 3, 1 << (place & 7)
            if not bits[byte] & bit:
                is_known = False
                bits[byte] |= bit
        return is_known
