"""``crucible log …`` on the command line: what each command is called and takes."""

from __future__ import annotations

from pathlib import Path

import click

from crucible.cli.options import as_of_option


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


@click.command()
@click.option("--before", metavar="MOMENT", help="Go no farther: a position, run:REFERENCE, mark:NAME, a time.")
@click.option("--older-than", metavar="AGE", help="Keep what the log took since then: 12h, 30d.")
@click.option("--trim", "is_trimming", is_flag=True, help="Then trim the log, as crucible log trim.")
def archive(before: str | None, older_than: str | None, is_trimming: bool) -> int:
    """Copy the records of what has ended to Parquet files among the blobs.

    Each partition is archived up to the first record of a run, submission or command that is still open; what holds
    it back is said. Nothing leaves the log before it is trimmed.
    """
    from crucible.cli.log_archive import archive as act

    return act(before=before, older_than=older_than, is_trimming=is_trimming)


@click.command()
def trim() -> int:
    """Remove from the log what is archived, for good.

    Each file is read back and compared with the log first. Reading goes on from the archive: rebuild, verify, --as-of
    and every other command work as before, as long as the files are there.
    """
    from crucible.cli.log_archive import trim as act

    return act()


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--format", "form", metavar="FORMAT", default="parquet", help="avro, parquet (default) or jsonl.")
@click.option("--topic", "topics", metavar="TOPIC", multiple=True, help="Only this topic; may be given again.")
@as_of_option
def export(target: Path, form: str, topics: tuple[str, ...], as_of: str | None) -> int:
    """Write every record of the log to files that other programs read.

    TARGET is a new folder; it appears whole or not at all. It holds a file for each record type and version of its
    schema, with a column for each field, a file of the values that can't be decoded, and a manifest.
    """
    from crucible.cli.log_export import export_log

    return export_log(target, form=form, topics=topics, as_of=as_of)


LOG_COMMANDS = (archive, copy, export, trim)
