"""A log on Kafka on the command line: what each command is called and takes."""

from __future__ import annotations

from pathlib import Path

import click

from crucible.cli.options import short_format_option


@click.group()
def topics() -> None:
    """The topics of a log on Kafka."""


@topics.command()
@short_format_option
def check(form: str) -> int:
    """Show the topics, what is wrong with them, and the command that mends it; exit code 5 if something is.

    CRUCIBLE_KAFKA_PARTITIONS and CRUCIBLE_KAFKA_REPLICATION say what to expect.
    """
    from crucible.cli.topics import check as act

    return act(form)


@topics.command()
@click.option("--partitions", type=click.IntRange(1, 10_000), help="Of commands, events and telemetry; default: 3.")
@click.option(
    "--replication", type=click.IntRange(1, 100), help="Copies of each; default: 3, or as many as there are brokers."
)
def create(partitions: int | None, replication: int | None) -> int:
    """Make the topics that are missing; none that is there is changed.

    The number of partitions is for ever: keys would move to others and lose their order.
    """
    from crucible.cli.topics import create as act

    return act(partitions, replication)


@click.command()
def manager() -> int:
    """Decide on a log on Kafka: manager and reaper, without a read model. There may be several."""
    from crucible.cli.parts import manager as act

    return act()


@click.command()
@click.option("--telemetry", metavar="PARTITIONS", help="Hold only these partitions of telemetry, for example 0-2,5.")
@click.option("--merge", "is_merged", is_flag=True, help="Answer for several projectors with --telemetry, as one.")
@click.option("--listen", metavar="HOST:PORT", help="Answer other hosts there, with the token CRUCIBLE_URL_TOKEN.")
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM file with the certificate to show them.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM file with its key, if it is another one.")
@click.argument("folders", metavar="[FOLDER…]", nargs=-1, type=click.Path(path_type=Path))
def projector(
    telemetry: str | None,
    is_merged: bool,
    listen: str | None,
    certificate: Path | None,
    key: Path | None,
    folders: tuple[Path, ...],
) -> int:
    """Project a log on Kafka: read model, run folders and query port, without a manager.

    With --merge, each FOLDER is that of a read model to read; without any, all those of this log here are.
    """
    from crucible.cli.parts import projector as act

    return act(listen, certificate, key, telemetry=telemetry, is_merged=is_merged, folders=folders)


ON_KAFKA: tuple[click.Command, ...] = (manager, projector, topics)
