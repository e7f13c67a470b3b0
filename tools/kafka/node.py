"""One node: broker and controller in one process, its folder, and what can happen to it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from tools.kafka.distribution import NoKafkaError

STARTED = "Kafka Server started"
"""The port opens about a second before a broker prints this."""
POLL_S = 0.05
STOP_WAIT_S = 20.0
_PR_SET_PDEATHSIG = 1
_LOG4J = """Configuration:
  Appenders:
    Console: {name: console, target: SYSTEM_OUT, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: console}}
    Logger: [{name: kafka.server.KafkaRaftServer, level: INFO}]
"""


class Node:
    """A broker that is also a controller."""

    def __init__(self, folder: Path, libs: Path, heap_mib: int) -> None:
        """A node whose files lie, or will lie, in ``folder``."""
        self.folder = folder
        self._classpath = f"{libs}/*"
        self._heap = (f"-Xms{heap_mib}m", f"-Xmx{heap_mib}m")
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    @property
    def log(self) -> Path:
        """What the broker prints."""
        return self.folder / "broker.log"

    @property
    def pid(self) -> int | None:
        """Process id, as long as the node runs; also of a node that another process has started."""
        try:
            pid = int((self.folder / "pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.folder).encode() in words else None

    def configure(self, properties: Mapping[str, str]) -> None:
        """Write the node's configuration."""
        self.folder.mkdir(parents=True)
        (self.folder / "log4j2.yaml").write_text(_LOG4J, encoding="utf-8")
        file = self.folder / "server.properties"
        file.touch(0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()), encoding="utf-8")

    def format(self, cluster_id: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        """Begin to format the node's storage; ``finish_format`` waits for it."""
        call = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self.folder / "server.properties")]
        output = (self.folder / "format.log").open("wb")
        with output:
            return subprocess.Popen([*self._java(), *call, *arguments], stdout=output, stderr=subprocess.STDOUT)

    def finish_format(self, formatting: subprocess.Popen[bytes], timeout_s: float) -> None:
        """Wait until the storage is formatted. Raises ``NoKafkaError``."""
        if formatting.wait(timeout_s):
            message = f"Kafka's storage can't be formatted:\n{(self.folder / 'format.log').read_text()[-2000:]}"
            raise NoKafkaError(message)

    def launch(self, launcher: Executor | None) -> None:
        """Start the broker: from the launcher's thread, with whose end it dies; without one it outlives us."""
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        if launcher is None:
            pid = self._spawn_detached()
        else:
            self._process = launcher.submit(self._spawn, _death_with_parent()).result()
            pid = self._process.pid
        (self.folder / "pid").write_text(str(pid))

    def wait_started(self, deadline: float) -> None:
        """Wait until the broker says that it has started. Raises ``NoKafkaError`` if it does not."""
        while True:
            with self.log.open("rb") as file:
                file.seek(self._read_from)
                told = file.read().decode(errors="replace")
            if STARTED in told:
                return
            if self.pid is None or (self._process is not None and self._process.poll() is not None):
                message = f"a Kafka node has ended while starting:\n{told[-3000:]}"
                raise NoKafkaError(message)
            if time.monotonic() > deadline:
                message = f"a Kafka node has not started in time; {self.log} says:\n{told[-3000:]}"
                raise NoKafkaError(message)
            time.sleep(POLL_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the node, if it runs."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End the node as the power would, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait_gone()

    def pause(self) -> None:
        """Stop the node's process where it stands, and wait until all of its threads do. Raises ``TimeoutError``."""
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_WAIT_S
        while self.pid is not None and not self.is_paused:
            if time.monotonic() > deadline:
                message = f"node {self.folder} does not stop"
                raise TimeoutError(message)
            time.sleep(POLL_S / 10)

    @property
    def is_paused(self) -> bool:
        """Whether the node's process is stopped."""
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] == "T"

    def stop(self) -> None:
        """Let the node end in order; kill it if it does not."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            self.wait_gone()
        self.kill()

    def wait_gone(self) -> None:
        """Wait until the node's process is gone. Raises ``TimeoutError``."""
        deadline = time.monotonic() + STOP_WAIT_S
        while self.pid is not None:
            if self._process is not None:
                self._process.poll()
            if time.monotonic() > deadline:
                message = f"node {self.folder} has not ended"
                raise TimeoutError(message)
            time.sleep(POLL_S)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def describe(self) -> str:
        """One line for people."""
        pid = self.pid
        if pid is None:
            return f"{self.folder.name}: not running, log {self.log}"
        return f"{self.folder.name}: {'paused' if self.is_paused else 'running'}, process {pid}, log {self.log}"

    def _java(self) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}"
        return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *self._heap, logging, "-cp", self._classpath]

    def _broker(self) -> list[str]:
        java, *arguments = self._java()
        options = f"-Dkafka.logs.dir={self.folder}"
        return [java, options, *arguments, "kafka.Kafka", str(self.folder / "server.properties")]

    def _spawn(self, prepare: Callable[[], None]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._broker(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509  a system call and nothing else
            )

    def _spawn_detached(self) -> int:
        """Start the broker as nobody's child; its process id."""
        script = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'
        call = ["sh", "-c", script, "sh", str(self.log), *self._broker()]
        return int(subprocess.run(call, check=True, stdout=subprocess.PIPE, start_new_session=True).stdout)


def _death_with_parent() -> Callable[[], None]:
    """What a child calls to be killed when the thread that started it ends."""
    parent = os.getpid()
    library = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
