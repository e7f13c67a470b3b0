"""The address of a schema registry, with a login that is never shown."""

from __future__ import annotations

import dataclasses
from urllib.parse import unquote, urlsplit

FORM = "http(s)://[user:password@]host[:port]"


@dataclasses.dataclass(frozen=True, slots=True)
class RegistryAddress:
    """Where a schema registry is, and who asks."""

    url: str
    """Without a login: may be shown."""
    login: tuple[str, str] | None = dataclasses.field(repr=False)
    """User and password."""


def parse_registry_address(text: str) -> RegistryAddress:
    """The address that a text gives in the form of ``FORM``.

    Raises ``ValueError`` that says what is wrong and nothing of a login.
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        message = "holds characters that no address has"
        raise ValueError(message)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        message = "is no address; special characters of a password are written %XX"
        raise ValueError(message) from None
    if parts.scheme not in {"http", "https"}:
        message = "is no address of a schema registry"
        raise ValueError(message)
    if not host or port == 0:
        message = "names no host" if not host else "has a port that is none"
        raise ValueError(message)
    if parts.query or parts.fragment:
        message = "goes on behind ? or #; special characters of a password are written %XX"
        raise ValueError(message)
    place = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    login = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    return RegistryAddress(url, login)


def without_login(text: str) -> str:
    """A text that may be an address with a login, without that: to be shown."""
    login, separator, place = text.rpartition("@")
    if not separator:
        return text
    scheme, separator, _ = login.partition("://")
    return f"{scheme}://…@{place}" if separator else f"…@{place}"
