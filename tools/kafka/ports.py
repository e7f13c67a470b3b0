"""Free ports, outside of the range from which the system takes ports for outgoing connections.

A node that is killed must get its port back, and in that range a connection of anybody could have taken it meanwhile.
"""

from __future__ import annotations

import random
import socket

_LOW, _HIGH = 15_000, 32_000
_ATTEMPTS_MAX = 1_000


def free_ports(count: int) -> list[int]:
    """``count`` different ports on which nobody listens."""
    chance = random.SystemRandom()
    ports: list[int] = []
    for _ in range(_ATTEMPTS_MAX):
        port = chance.randrange(_LOW, _HIGH)
        if port not in ports and _is_free(port):
            ports.append(port)
            if len(ports) == count:
                return ports
    message = f"no {count} free ports between {_LOW} and {_HIGH}"
    raise OSError(message)


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
