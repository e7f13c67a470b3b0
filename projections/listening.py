"""Where a query port listens for other hosts: an address, a certificate to show, and a token to ask for."""

from __future__ import annotations

import dataclasses
import ipaddress
import ssl
from pathlib import Path

from crucible.errors import UsageError

TOKEN_CHARACTERS_MIN = 16
"""A token that people give is at least this long."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listening:
    """Where a query port listens for other hosts, and what it shows and asks for there."""

    host: str
    port: int
    token: str = dataclasses.field(repr=False)
    tls: ssl.SSLContext | None
    """None only where nobody else can listen in: on this host."""


def listening(host: str, port: int, *, token: str | None, certificate: Path | None, key: Path | None) -> Listening:
    """Where to listen for other hosts. Raises ``UsageError`` with every problem."""
    problems = []
    if token is None or len(token) < TOKEN_CHARACTERS_MIN:
        problems.append(f"set CRUCIBLE_URL_TOKEN to a secret of at least {TOKEN_CHARACTERS_MIN} characters")
    if certificate is None and not _is_loopback(host):
        problems.append(f"at {host} others can listen in: give --certificate and --key")
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            tls.load_cert_chain(certificate, key)
        except OSError as error:
            problems.append(f"the certificate {certificate} can't be used: {error.strerror or error}")
    if problems:
        raise UsageError("; ".join(problems))
    assert token is not None
    return Listening(host, port, token, tls)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
