"""Where a log is, as one text chooses it: a folder, or ``kafka://host:port[,host:port…][/prefix]``."""

from __future__ import annotations

import dataclasses
import re

from crucible.errors import DefinitionError, Problem

KAFKA_SCHEME = "kafka://"
DEFAULT_PREFIX = "crucible"
PREFIX_CHARACTERS_MAX = 200
_PREFIX = re.compile(r"[A-Za-z0-9._-]+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_EXPECTED = "kafka://host:port[,host:port…][/prefix], for example kafka://localhost:9092/crucible"
_PORT_MAX = 65_535


@dataclasses.dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Brokers to begin with, and what the names of the topics begin with."""

    servers: tuple[str, ...]
    """``host:port`` of each broker to ask first; the cluster names the others."""
    prefix: str = DEFAULT_PREFIX
    """Topics are ``<prefix>.commands`` and so on: teams that share a cluster have one prefix each."""

    def __str__(self) -> str:
        """The text that ``parse_kafka_address`` reads."""
        return f"{KAFKA_SCHEME}{','.join(self.servers)}/{self.prefix}"


def is_kafka_address(text: str) -> bool:
    """Whether a text names a log on Kafka, rather than a folder."""
    return text.lower().startswith(KAFKA_SCHEME)


def parse_kafka_address(text: str, *, name: str = "CRUCIBLE_LOG") -> KafkaAddress:
    """The address that a text says. Raises ``DefinitionError`` with every problem; ``name`` says whose text it is."""
    if not is_kafka_address(text):
        raise DefinitionError(
            [Problem(name, "is no address of a log on Kafka", value=f"{text!r:.200}", expected=_EXPECTED)]
        )
    rest = text[len(KAFKA_SCHEME) :]
    if "@" in rest:  # the text holds a password: it is not repeated
        advice = (
            "holds a user or a password; give them as CRUCIBLE_KAFKA_SASL_USERNAME and CRUCIBLE_KAFKA_SASL_PASSWORD"
        )
        raise DefinitionError([Problem(name, advice, expected=_EXPECTED)])
    hosts, slash, prefix = rest.partition("/")
    servers = [server.strip() for server in hosts.split(",")]
    problems = [problem for server in servers if (problem := _server_problem(name, server))]
    if repeated := sorted({server for server in servers if servers.count(server) > 1 and server}):
        problems.append(Problem(name, "names a broker more than once", value=", ".join(repeated)))
    prefix = prefix.removesuffix("/") if slash else DEFAULT_PREFIX
    if problem := _prefix_problem(name, prefix or DEFAULT_PREFIX):
        problems.append(problem)
    if problems:
        raise DefinitionError(problems)
    return KafkaAddress(tuple(servers), prefix or DEFAULT_PREFIX)


def _server_problem(name: str, server: str) -> Problem | None:
    host, colon, port = server.rpartition(":")
    value = f"{server!r:.200}"
    if not server:
        return Problem(name, "lacks the name of a broker", value=value, expected=_EXPECTED)
    if not colon or not _HOST.fullmatch(host):
        return Problem(name, "names a broker that is no host and port", value=value, expected="host:port")
    if not port.isdecimal() or not port.isascii() or not 0 < int(port) <= _PORT_MAX:
        return Problem(name, "names a port that is none", value=value, expected=f"1 to {_PORT_MAX}")
    return None


def _prefix_problem(name: str, prefix: str) -> Problem | None:
    if not _PREFIX.fullmatch(prefix) or len(prefix) > PREFIX_CHARACTERS_MAX:
        expected = f"1 to {PREFIX_CHARACTERS_MAX} of letters, digits, dot, underscore and hyphen"
        return Problem(
            name, "has a prefix of topics that Kafka does not take", value=f"{prefix!r:.200}", expected=expected
        )
    return None
