"""How a client talks to Kafka: security, compression and what new topics are like. From ``CRUCIBLE_KAFKA_*``.

Secrets come from the environment or a file, never from a command line, and are in no text that this makes.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from crucible.errors import DefinitionError, Problem

VARIABLE = "CRUCIBLE_KAFKA_"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
COMPRESSIONS = ("lz4", "zstd")
PARTITIONS_MAX = 10_000
REPLICATION_MAX = 100
PASSWORD_BYTES_MAX = 4_096


@dataclasses.dataclass(frozen=True, slots=True)
class KafkaOptions:
    """What the environment says about Kafka."""

    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: str | None = dataclasses.field(default=None, repr=False)
    ssl_cafile: Path | None = None
    """Certificates to trust, PEM; None: those of the system."""
    ssl_certfile: Path | None = None
    """The client's certificate, PEM."""
    ssl_keyfile: Path | None = None
    """The client's key, PEM."""
    compression: Literal["lz4", "zstd"] = "zstd"
    partitions: int | None = None
    """Partitions of commands, events and telemetry in new topics; None: the default of each."""
    replication: int | None = None
    """Copies of each partition of new topics; None: three, or as many as there are brokers."""
    may_create: bool = True
    """Topics are made if none is there."""

    def client_arguments(self) -> dict[str, Any]:
        """Security arguments of an aiokafka client. Raises ``DefinitionError`` for files that are none."""
        arguments: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = self._ssl_context()
        if self.security_protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return arguments

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=None if self.ssl_cafile is None else str(self.ssl_cafile))
        except (OSError, ssl.SSLError) as error:
            problem = Problem(f"{VARIABLE}SSL_CAFILE", f"can't be used: {error}", value=str(self.ssl_cafile))
            raise DefinitionError([problem]) from error
        if self.ssl_certfile is not None:
            try:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
            except (OSError, ssl.SSLError) as error:
                value = f"{self.ssl_certfile}, {self.ssl_keyfile}"
                problem = Problem(f"{VARIABLE}SSL_CERTFILE", f"can't be used with its key: {error}", value=value)
                raise DefinitionError([problem]) from error
        return context


def kafka_options(environ: Mapping[str, str] | None = None) -> KafkaOptions:
    """The options in the environment. Raises ``DefinitionError`` with every problem."""
    environ = os.environ if environ is None else environ
    problems: list[Problem] = _unknown(environ)
    given = {
        name.removeprefix(VARIABLE): value for name, value in environ.items() if name.startswith(VARIABLE) and value
    }
    password = _password(given, problems)
    protocol = _choice(given, "SECURITY_PROTOCOL", PROTOCOLS, "PLAINTEXT", problems)
    options = KafkaOptions(
        security_protocol=protocol,
        sasl_mechanism=_choice(given, "SASL_MECHANISM", MECHANISMS, "SCRAM-SHA-512", problems),
        sasl_username=given.get("SASL_USERNAME"),
        sasl_password=password,
        ssl_cafile=_file(given, "SSL_CAFILE", problems),
        ssl_certfile=_file(given, "SSL_CERTFILE", problems),
        ssl_keyfile=_file(given, "SSL_KEYFILE", problems),
        compression=_choice(given, "COMPRESSION", COMPRESSIONS, "zstd", problems),  # type: ignore[arg-type]
        partitions=_count(given, "PARTITIONS", PARTITIONS_MAX, problems),
        replication=_count(given, "REPLICATION", REPLICATION_MAX, problems),
    )
    problems += _contradictions(options)
    if problems:
        raise DefinitionError(problems)
    return options


def _contradictions(options: KafkaOptions) -> list[Problem]:
    problems = []
    protocol = options.security_protocol
    if protocol.startswith("SASL"):
        problems += [
            Problem(f"{VARIABLE}{name}", f"is needed with {VARIABLE}SECURITY_PROTOCOL={protocol}")
            for name, value in (
                ("SASL_USERNAME", options.sasl_username),
                ("SASL_PASSWORD or _SASL_PASSWORD_FILE", options.sasl_password),
            )
            if value is None
        ]
    elif options.sasl_username is not None or options.sasl_password is not None:
        expected = "SASL_SSL, or SASL_PLAINTEXT in a network that you trust"
        message = "does not sign in, but a user or a password is given"
        problems.append(Problem(f"{VARIABLE}SECURITY_PROTOCOL", message, value=protocol, expected=expected))
    files = (options.ssl_cafile, options.ssl_certfile, options.ssl_keyfile)
    if not protocol.endswith("SSL") and any(files):
        message = "does not encrypt, but certificates are given"
        problems.append(Problem(f"{VARIABLE}SECURITY_PROTOCOL", message, value=protocol, expected="SSL or SASL_SSL"))
    if options.ssl_keyfile is not None and options.ssl_certfile is None:
        problems.append(Problem(f"{VARIABLE}SSL_CERTFILE", f"is needed with {VARIABLE}SSL_KEYFILE"))
    return problems


_KNOWN = (
    "SECURITY_PROTOCOL",
    "SASL_MECHANISM",
    "SASL_USERNAME",
    "SASL_PASSWORD",
    "SASL_PASSWORD_FILE",
    "SSL_CAFILE",
    "SSL_CERTFILE",
    "SSL_KEYFILE",
    "COMPRESSION",
    "PARTITIONS",
    "REPLICATION",
)


def _unknown(environ: Mapping[str, str]) -> list[Problem]:
    problems = []
    known = [VARIABLE + name for name in _KNOWN]
    for name in sorted(environ):
        if name.startswith(VARIABLE) and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            problems.append(Problem(name, "unknown setting", nearest=near[0] if near else None))
    return problems


def _choice(
    given: Mapping[str, str], name: str, choices: tuple[str, ...], default: str, problems: list[Problem]
) -> str:
    value = given.get(name, default)
    for choice in choices:
        if value.lower() == choice.lower():
            return choice
    problems.append(Problem(VARIABLE + name, "is none of them", value=f"{value!r:.80}", expected=", ".join(choices)))
    return default


def _count(given: Mapping[str, str], name: str, most: int, problems: list[Problem]) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= most:
        return int(text)
    problems.append(Problem(VARIABLE + name, "is no such number", value=f"{text!r:.80}", expected=f"1 to {most:,}"))
    return None


def _file(given: Mapping[str, str], name: str, problems: list[Problem]) -> Path | None:
    text = given.get(name)
    if text is None:
        return None
    path = Path(text)
    if not path.is_file():
        problems.append(Problem(VARIABLE + name, "is no file", value=f"{text!r:.200}", expected="a PEM file"))
    return path


def _password(given: Mapping[str, str], problems: list[Problem]) -> str | None:
    """The password itself, or what its file holds, without the end of the line."""
    name = "SASL_PASSWORD_FILE"
    if name not in given:
        return given.get("SASL_PASSWORD")
    if "SASL_PASSWORD" in given:
        problems.append(Problem(VARIABLE + name, f"can't be given together with {VARIABLE}SASL_PASSWORD"))
    try:
        with Path(given[name]).open("rb") as file:
            found = file.read(PASSWORD_BYTES_MAX + 1).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(VARIABLE + name, f"can't be read: {error}"))
        return "unknown"
    if not found or len(found) > PASSWORD_BYTES_MAX:
        expected = f"a password of 1 to {PASSWORD_BYTES_MAX:,} bytes"
        problems.append(Problem(VARIABLE + name, "holds no password", expected=expected))
    return found
