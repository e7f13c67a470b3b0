"""A cluster of one node or three in a folder."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.kafka.distribution import NoKafkaError, fetched_jars
from tools.kafka.node import Node
from tools.kafka.ports import free_ports
from tools.kafka.properties import node_properties
from tools.kafka.security import ADMIN, Security

START_TIMEOUT_S = 120.0
HEAP_MIB = {1: 256, 3: 384}
"""Java heap of a node, by the number of nodes; a broker with 192 MiB dies."""
_STATE = "cluster.json"
_TEMPORARY = "crucible-kafka-"


class Cluster:
    """Nodes that know of each other. Made by ``start``, or by ``attach`` for one that another process has started."""

    def __init__(self, folder: Path, nodes: Sequence[Node], ports: Sequence[int], security: Security | None) -> None:
        """Use ``start`` or ``attach``."""
        self.folder = folder
        self.security = security
        """Passwords and keys of a secured cluster; None: everyone may do everything."""
        self._nodes = nodes
        self._ports = ports
        self._launcher: ThreadPoolExecutor | None = None
        self._is_temporary = False

    @classmethod
    def start(
        cls,
        folder: Path | None = None,
        *,
        nodes: int = 1,
        users: Sequence[str] | None = None,
        is_detached: bool = False,
        properties: Iterable[tuple[str, str]] = (),
    ) -> Cluster:
        """Start a cluster in ``folder`` (a temporary one if None) and return once all nodes answer.

        ``users`` makes it ask for SASL/SCRAM over TLS, with these users and ``admin``, and obey access rights. Nodes
        die with this process, however it ends, unless the cluster is detached. ``properties`` are lines for
        ``server.properties``. Raises ``NoKafkaError``.
        """
        libs = fetched_jars()
        sweep()
        home = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{os.getpid()}-")) if folder is None else folder.resolve()
        if folder is not None and (home / _STATE).exists():
            message = f"there is a cluster in {home}: stop it first"
            raise NoKafkaError(message)
        ports = free_ports(2 * nodes)
        security = None if users is None else Security.make(home / "security", users)
        made = [Node(home / f"node-{number}", libs, HEAP_MIB.get(nodes, 384)) for number in range(1, nodes + 1)]
        cluster = cls(home, made, ports[:nodes], security)
        cluster._is_temporary = folder is None
        if not is_detached:
            cluster._launcher = ThreadPoolExecutor(1, thread_name_prefix="kafka-launcher")
        try:
            cluster._begin(ports[nodes:], dict(properties))
        except BaseException:
            cluster.close()
            raise
        return cluster

    @classmethod
    def attach(cls, folder: Path) -> Cluster:
        """The detached cluster in ``folder``. Raises ``NoKafkaError`` if there is none."""
        home = folder.resolve()
        try:
            state = json.loads((home / _STATE).read_text(encoding="utf-8"))
        except OSError as error:
            message = f"there is no cluster in {home}: start one with `python -m tools.kafka start`"
            raise NoKafkaError(message) from error
        libs = fetched_jars()
        ports = state["ports"]
        nodes = [Node(home / f"node-{n}", libs, HEAP_MIB.get(len(ports), 384)) for n in range(1, len(ports) + 1)]
        told = state["security"]
        security = told and Security(
            Path(told["authority"]), Path(told["certificate"]), Path(told["key"]), told["passwords"]
        )
        return cls(home, nodes, ports, security)

    @property
    def bootstrap(self) -> str:
        """Addresses of all nodes, for a client."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports)

    @property
    def numbers(self) -> Sequence[int]:
        """Numbers of the nodes, from 1; Kafka's own ids of them."""
        return range(1, len(self._nodes) + 1)

    def node(self, number: int) -> Node:
        """One node."""
        return self._nodes[number - 1]

    def kill(self, number: int) -> None:
        """Kill a node with SIGKILL."""
        self.node(number).kill()

    def pause(self, number: int) -> None:
        """Stop a node's process where it stands: its connections stay open and nothing answers."""
        self.node(number).pause()

    def resume(self, number: int) -> None:
        """Let a paused node go on."""
        self.node(number).send(signal.SIGCONT)

    def launch(self, number: int) -> None:
        """Start a node that does not run, and wait for nothing: several that need each other start together."""
        self.node(number).launch(self._launcher)

    def restart(self, number: int) -> None:
        """Start a node again on its folder, after ending it in order if it runs; return once all nodes are there."""
        node = self.node(number)
        node.stop()
        node.launch(self._launcher)
        self._wait_answers([node])

    def close(self) -> None:
        """End all nodes at once; a temporary folder goes as well. Safe to call twice."""
        for node in self._nodes:
            node.send(signal.SIGKILL)
        for node in self._nodes:
            node.wait_gone()
        if self._launcher is not None:
            self._launcher.shutdown()
        (self.folder / _STATE).unlink(missing_ok=True)
        if self._is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def describe(self) -> str:
        """A line for each node, for people."""
        return "\n".join(node.describe() for node in self._nodes)

    def __enter__(self) -> Self:
        """The cluster, to be closed at the end."""
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _begin(self, controller_ports: Sequence[int], more: dict[str, str]) -> None:
        cluster_id = _new_cluster_id()
        arguments = [*(self.security.format_arguments() if self.security else [])]
        if len(self._nodes) == 1:
            arguments.append("--standalone")
        for number, node in zip(self.numbers, self._nodes, strict=True):
            properties = node_properties(number, self._ports, controller_ports, node.folder, self.security)
            node.configure(properties | more)
        formatting = [node.format(cluster_id, arguments) for node in self._nodes]
        for node, process in zip(self._nodes, formatting, strict=True):
            node.finish_format(process, START_TIMEOUT_S)
        for node in self._nodes:
            node.launch(self._launcher)
        self._write_state()
        self._wait_answers(self._nodes)

    def _write_state(self) -> None:
        security = None
        if self.security is not None:
            fields = dataclasses.asdict(self.security)
            security = {name: value if name == "passwords" else str(value) for name, value in fields.items()}
        file = self.folder / _STATE
        file.touch(0o600)
        file.write_text(json.dumps({"ports": list(self._ports), "security": security}), encoding="utf-8")

    def _wait_answers(self, nodes: Sequence[Node]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        for node in nodes:
            node.wait_started(deadline)
        wanted = sum(node.pid is not None for node in self._nodes)
        asyncio.run(_wait_brokers(self.bootstrap, wanted, self.security, deadline))


async def _wait_brokers(bootstrap: str, count: int, security: Security | None, deadline: float) -> None:
    """Ask until the cluster names ``count`` brokers and a controller. Raises ``NoKafkaError``."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    arguments: dict[str, Any] = security.client_arguments(ADMIN) if security else {}
    told: Any = "nothing"
    while time.monotonic() < deadline:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000, **arguments)
        try:
            await admin.start()
            told = await admin.describe_cluster()
            if len(told["brokers"]) >= count and told["controller_id"] >= 0:
                return
        except (KafkaError, OSError, TimeoutError) as error:
            told = error
        finally:
            await admin.close()
        await asyncio.sleep(0.1)
    message = f"the nodes at {bootstrap} have started but do not answer as one cluster: {told}"
    raise NoKafkaError(message)


def _new_cluster_id() -> str:
    """A cluster id as ``kafka-storage random-uuid`` makes it: an UUID in base 64 that does not begin with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text


def sweep() -> None:
    """Remove temporary folders whose owner was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        owner = folder.name.removeprefix(_TEMPORARY).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)
