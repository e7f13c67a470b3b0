"""The files of a deployment as an engine for containers reads them."""

import functools
import json
import os
import subprocess
from pathlib import Path

from tools.go_program import built

ROOT = Path(__file__).parents[2]
READER = ROOT / "tools" / "deployment"
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
TIMEOUT_S = 60


class WrongFileError(Exception):
    """What the reader says of a file that it does not take."""


def read(kind, *paths, **environ):
    """What the reader makes of files."""
    environ |= {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    done = subprocess.run(
        [built(READER), kind, *paths], env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        raise WrongFileError(done.stderr.strip())
    return json.loads(done.stdout)


@functools.cache
def compose():
    """The project of ``docker-compose.yml``."""
    return read("compose", COMPOSE)


@functools.cache
def dockerfile():
    """The stages of the ``Dockerfile``."""
    return read("dockerfile", DOCKERFILE)


def environment(service):
    """The variables of a service."""
    return compose()["services"][service].get("environment") or {}


def parts():
    """The services that run our own image, by name."""
    return {name: each for name, each in compose()["services"].items() if each.get("build")}


def brokers():
    """The services that are Kafka nodes, by name."""
    return {name: each for name, each in compose()["services"].items() if each["image"].startswith("apache/kafka")}
