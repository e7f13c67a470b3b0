"""``crucible log …`` on the command line: what each command is called and takes."""

from __future__ import annotations

import click


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@click.option("--blobs/--no-blobs", "has_blobs", default=True, help="Copy the blobs that the log names; the default.")
@click.option("--from-blobs", metavar="ADDRESS", help="The source's blobs; default: beside it, else CRUCIBLE_BLOBS.")
@click.option("--to-blobs", metavar="ADDRESS", help="The target's blobs; default: CRUCIBLE_BLOBS, else beside it.")
def copy(source: str, target: str, has_blobs: bool, from_blobs: str | None, to_blobs: str | None) -> int:
    """Copy a log and its blobs to another place or engine.

    SOURCE and TARGET are what CRUCIBLE_LOG may be: a folder such as .crucible, or kafka://host:port/prefix. Records
    keep their ids, keys, times and their order by key; both logs have the same digests afterwards. A copy that was
    killed is gone on with by the same command, and so is one whose source has grown. TARGET must be empty or such a
    copy.
    """
    from crucible.cli.log_copy import copy as act

    return act(source, target, has_blobs=has_blobs, from_blobs=from_blobs, to_blobs=to_blobs)


LOG_COMMANDS = (copy,)
