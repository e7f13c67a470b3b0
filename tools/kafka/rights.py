"""Access rights: who may do what with which topics. aiokafka has no call for that, confluent-kafka has."""

from __future__ import annotations

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tools.kafka.cluster import Cluster

TIMEOUT_S = 30


def allow(cluster: Cluster, user: str, topic: str, *operations: str, is_prefix: bool = False) -> None:
    """Let a user do operations (``read``, ``write``, ``describe``, …) with a topic, or with all that begin so."""
    assert cluster.security is not None, "a cluster without passwords has no rights"
    pattern = ResourcePatternType.PREFIXED if is_prefix else ResourcePatternType.LITERAL
    bindings = [
        AclBinding(
            ResourceType.TOPIC,
            topic,
            pattern,
            f"User:{user}",
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, **cluster.security.librdkafka_arguments()})
    for made in admin.create_acls(bindings).values():
        made.result(TIMEOUT_S)
