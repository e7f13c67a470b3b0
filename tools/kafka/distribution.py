"""Kafka's jars, fetched once with Maven into a cache outside of the repository."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA_VERSION = "4.3.0"
JAVA_MIN = 17
FETCH_TIMEOUT_S = 600
_DEPENDENCIES = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    # Kafka logs through slf4j 1.7: without this binding a broker prints nothing at all.
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
)


class NoKafkaError(RuntimeError):
    """Kafka can't be had or started on this machine; the message says why and what to do."""


def cache_folder() -> Path:
    """The folder of the jars of this version."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "crucible" / "kafka" / KAFKA_VERSION


def fetched_jars() -> Path:
    """The folder with Kafka's jars, fetched if they are not there. Raises ``NoKafkaError``."""
    _require_java()
    folder = cache_folder() / "libs"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _require_java() -> None:
    try:
        told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True, timeout=60).stderr
    except (OSError, subprocess.SubprocessError) as error:
        message = f"Kafka needs Java {JAVA_MIN} or newer, and there is none that runs: {error}"
        raise NoKafkaError(message) from error
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < JAVA_MIN:
        message = f"Kafka needs Java {JAVA_MIN} or newer, `java -version` says: {told.splitlines()[0]}"
        raise NoKafkaError(message)


def _fetch(folder: Path) -> None:
    """Fetch into a folder beside and rename it, so that a folder that is there is whole."""
    if shutil.which("mvn") is None:
        message = f"Kafka's jars are not in {folder} and Maven, which fetches them, is not installed"
        raise NoKafkaError(message)
    with tempfile.TemporaryDirectory(dir=folder.parent) as workshop:
        pom = Path(workshop) / "pom.xml"
        pom.write_text(_pom(), encoding="utf-8")
        libs = Path(workshop) / "libs"
        call = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={libs}"]
        try:
            done = subprocess.run(
                call, cwd=workshop, capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            message = f"Maven has not fetched Kafka within {FETCH_TIMEOUT_S} s"
            raise NoKafkaError(message) from error
        if done.returncode or not any(libs.glob("kafka_*.jar")):
            message = f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            raise NoKafkaError(message)
        libs.rename(folder)


def _pom() -> str:
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        "</dependency>"
        for group, artifact, version in _DEPENDENCIES
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>crucible</groupId><artifactId>broker</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
