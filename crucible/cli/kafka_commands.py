"""A log on Kafka on the command line: what each command is called and takes."""

from __future__ import annotations

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
