"""The configuration of a node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tools.kafka.security import Security


def node_properties(
    number: int, ports: Sequence[int], controller_ports: Sequence[int], folder: Path, security: Security | None
) -> dict[str, str]:
    """The lines of ``server.properties`` of node ``number`` (from 1)."""
    protocol = "SASL_SSL" if security else "PLAINTEXT"
    port, controller_port = ports[number - 1], controller_ports[number - 1]
    count = len(ports)
    replicas, in_sync = (str(min(3, count)), "2" if count > 2 else "1")  # noqa: PLR2004
    properties = {
        "process.roles": "broker,controller",
        "node.id": str(number),
        "listeners": f"{protocol}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"{protocol}://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{protocol}:{protocol}",
        "log.dirs": str(folder / "logs"),
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        # A dead broker is noticed sooner than after the default of 9 s.
        "broker.session.timeout.ms": "6000",
        "broker.heartbeat.interval.ms": "1000",
    }
    if count == 1:
        properties["controller.quorum.bootstrap.servers"] = f"127.0.0.1:{controller_port}"
    else:
        properties["controller.quorum.voters"] = ",".join(
            f"{voter}@127.0.0.1:{voter_port}" for voter, voter_port in enumerate(controller_ports, start=1)
        )
    return properties | (security.properties() if security else {})
