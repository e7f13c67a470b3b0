"""``python -m tools.kafka``: a Kafka cluster from a shell, which runs until it is stopped."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tools.kafka.cluster import Cluster
from tools.kafka.distribution import NoKafkaError

FOLDER = Path("build/kafka")


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.kafka", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where the cluster lies (default {FOLDER})")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start a cluster; prints its bootstrap address and its folder")
    start.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    start.add_argument("--users", nargs="*", help="ask for passwords over TLS, with these users and admin")
    commands.add_parser("stop", help="stop the cluster; its folder is removed")
    commands.add_parser("status", help="what each node does")
    for name, told in (
        ("kill", "kill a node with SIGKILL"),
        ("pause", "stop a node's process where it stands"),
        ("resume", "let a paused node go on"),
        ("restart", "start a node again"),
    ):
        commands.add_parser(name, help=told).add_argument("node", type=int)
    options = parser.parse_args(arguments)
    try:
        if options.command == "start":
            _start(options.folder, options.nodes, options.users)
        else:
            _use(Cluster.attach(options.folder), options)
    except NoKafkaError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _start(folder: Path, nodes: int, users: list[str] | None) -> None:
    cluster = Cluster.start(folder, nodes=nodes, users=users, is_detached=True)
    print(f"bootstrap {cluster.bootstrap}")
    print(f"folder    {cluster.folder}")
    if cluster.security is not None:
        print(f"trust     {cluster.security.authority}")
        print(f"passwords {cluster.folder / 'cluster.json'}")


def _use(cluster: Cluster, options: argparse.Namespace) -> None:
    if options.command == "status":
        print(cluster.describe())
    elif options.command == "stop":
        for number in cluster.numbers:
            cluster.node(number).stop()
        cluster.close()
        shutil.rmtree(cluster.folder)
    else:
        if options.node not in cluster.numbers:
            message = f"there is no node {options.node}: they are 1 to {len(cluster.numbers)}"
            raise NoKafkaError(message)
        act: Callable[[int], None] = getattr(cluster, options.command)
        act(options.node)


if __name__ == "__main__":
    sys.exit(main())
