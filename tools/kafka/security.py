"""What a broker with passwords, TLS and rights needs: a certificate authority, certificates, users.

Everything here is made for one cluster that listens on loopback, and thrown away with it.
"""

from __future__ import annotations

import dataclasses
import secrets
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MECHANISM = "SCRAM-SHA-512"
ADMIN = "admin"
_DAYS = "30"


@dataclasses.dataclass(frozen=True)
class Security:
    """Files and passwords of a secured cluster."""

    authority: Path
    """Certificate of the authority, PEM: what a client trusts."""
    certificate: Path
    """A client's certificate, PEM."""
    key: Path
    """The client's key, PEM."""
    passwords: Mapping[str, str] = dataclasses.field(repr=False)
    """Password of each user; ``admin`` may do everything."""

    @classmethod
    def make(cls, folder: Path, users: Sequence[str]) -> Security:
        """Make keys and passwords in ``folder``."""
        folder.mkdir(mode=0o700, parents=True)
        _openssl(
            folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days", _DAYS
        )
        for name in ("broker", "client"):
            _sign(folder, name)
        (folder / "keystore.pem").write_text(
            "".join((folder / part).read_text() for part in ("broker.key", "broker.pem", "ca.pem"))
        )
        (folder / "keystore.pem").chmod(0o600)
        passwords = {user: secrets.token_urlsafe(18) for user in (ADMIN, *users)}
        return cls(folder / "ca.pem", folder / "client.pem", folder / "client.key", passwords)

    def client_arguments(self, user: str = ADMIN) -> dict[str, Any]:
        """Arguments of an aiokafka client that signs in as ``user``."""
        return {
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=str(self.authority)),
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": user,
            "sasl_plain_password": self.passwords[user],
        }

    def librdkafka_arguments(self, user: str = ADMIN) -> dict[str, str]:
        """Arguments of a confluent-kafka client that signs in as ``user``."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority),
            "sasl.mechanism": MECHANISM,
            "sasl.username": user,
            "sasl.password": self.passwords[user],
        }

    def properties(self) -> dict[str, str]:
        """The lines of ``server.properties`` that make a broker ask for all this."""
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
        password = self.passwords[ADMIN]
        return {
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.enabled.mechanisms": MECHANISM,
            "sasl.mechanism.inter.broker.protocol": MECHANISM,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                f'{login} username="{ADMIN}" password="{password}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.authority.parent / "keystore.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority),
            "ssl.client.auth": "requested",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The controller's listener is plain, on loopback.
            "super.users": f"User:{ADMIN};User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
        }

    def format_arguments(self) -> list[str]:
        """Arguments of ``StorageTool format`` that make the users."""
        return [
            argument
            for user, password in self.passwords.items()
            for argument in ("--add-scram", f"{MECHANISM}=[name={user},password={password}]")
        ]


def _sign(folder: Path, name: str) -> None:
    """A key and a certificate for this machine, signed by the authority."""
    names = folder / "names.txt"
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl(folder, f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
    signing = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -extfile names.txt"
    _openssl(folder, f"{signing} -days", _DAYS)


def _openssl(folder: Path, arguments: str, *more: str) -> None:
    subprocess.run(["openssl", *arguments.split(), *more], cwd=folder, check=True, capture_output=True, timeout=60)
