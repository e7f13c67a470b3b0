"""The services of docker-compose.yml as processes of this machine: the same variables, commands and health checks.

Names of hosts and volumes become addresses on loopback and folders; the registry is the one of ``tools.registry``.
"""

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.deployment.reading import brokers, parts
from tools.kafka.distribution import fetched_jars
from tools.kafka.node import Node
from tools.kafka.ports import free_ports
from tools.registry import Registry

HEAP_MIB = 384
START_TIMEOUT_S = 180
CALL_TIMEOUT_S = 240
NO_PROPERTIES = {"KAFKA_HEAP_OPTS"}
"""Variables of Kafka's scripts, which the image keeps out of the configuration."""


class Deployment:
    """All services, below a folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self._places: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen] = {}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._start_brokers(stack)
            self._places["http://registry:8081"] = stack.enter_context(Registry()).url
            self._places["/blobs"] = str(self.folder / "blobs")
            stack.callback(self._stop)
            for name in parts():
                self._start(name)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def here(self, text):
        """A text of the file with addresses and folders of this machine."""
        for name in sorted(self._places, key=len, reverse=True):
            text = text.replace(name, self._places[name])
        return text

    def call(self, name, *words, code=0):
        """A command in the container of a service; what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "crucible", *words], cwd=self.folder / name, env=self._environ(name),
            capture_output=True, text=True, timeout=CALL_TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{name}: crucible {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _start_brokers(self, stack):
        names = list(brokers())
        ports = free_ports(3 * len(names))
        for number, name in enumerate(names):
            inside, control, outside = ports[3 * number : 3 * number + 3]
            self._places |= {f"{name}:9092": f"127.0.0.1:{inside}", f"{name}:9093": f"127.0.0.1:{control}"}
            (published,) = brokers()[name]["ports"]
            self._places[f"localhost:{published['published']}"] = f"127.0.0.1:{outside}"
        nodes = [self._node(name, ports[3 * number :]) for number, name in enumerate(names)]
        identity = brokers()[names[0]]["environment"]["CLUSTER_ID"]
        formats = [node.format(identity, []) for node in nodes]
        for node, formatting in zip(nodes, formats, strict=True):
            node.finish_format(formatting, START_TIMEOUT_S)
        deadline = time.monotonic() + START_TIMEOUT_S
        for node in nodes:
            stack.callback(node.kill)
            node.launch(None)
        for node in nodes:
            node.wait_started(deadline)

    def _node(self, name, ports):
        environ = brokers()[name]["environment"]
        properties = {
            variable.removeprefix("KAFKA_").lower().replace("_", "."): self.here(value)
            for variable, value in environ.items()
            if variable.startswith("KAFKA_") and variable not in NO_PROPERTIES
        }
        for port, number in zip(("9092", "9093", "9094"), ports, strict=False):
            properties["listeners"] = re.sub(rf"://:{port}\b", f"://127.0.0.1:{number}", properties["listeners"])
        node = Node(self.folder / name, fetched_jars(), HEAP_MIB)
        properties["log.dirs"] = str(node.folder / "logs")
        node.configure(properties)
        return node

    def _environ(self, name):
        given = {variable: self.here(value) for variable, value in parts()[name]["environment"].items()}
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder / name), **given}

    def _start(self, name):
        home = self.folder / name
        home.mkdir()
        for mount in parts()[name]["volumes"]:
            if mount["type"] == "bind":
                shutil.copytree(mount["source"], home / Path(mount["target"]).relative_to("/crucible"))
        with (home / "output").open("wb") as output:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "crucible", *parts()[name]["command"]],
                cwd=home, env=self._environ(name), stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _stop(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
