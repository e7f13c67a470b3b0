"""Housekeeping on the command line: what each command is called and takes."""

from __future__ import annotations

from pathlib import Path

import click

from crucible.cli.options import REFERENCE_HELP, short_format_option


@click.command(epilog=REFERENCE_HELP)
@click.argument("references", metavar="REFERENCE…", nargs=-1, required=True)
@click.option("--undo", "is_undo", is_flag=True, help="Show them again.")
def rm(references: tuple[str, ...], is_undo: bool) -> int:
    """Hide runs, submissions or experiments from lists.

    Nothing is removed: crucible ls --all still lists them, and their full names still mean them. crucible purge
    removes what a run has made.
    """
    from crucible.cli.hide import hide as act

    return act(references, is_undo=is_undo)


@click.command(epilog=REFERENCE_HELP)
@click.argument("references", metavar="REFERENCE…", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why; it stays on the log.")
@click.option("--yes", "is_yes", is_flag=True, help="Do not ask.")
def purge(references: tuple[str, ...], reason: str, is_yes: bool) -> int:
    """Remove what runs have made, for good.

    Checkpoints, artifacts, texts, printed lines and tracebacks that no other run names are deleted, and the run's
    folder keeps only a note. Its parameters and numbers stay on the log. This can't be undone.
    """
    from crucible.cli.purge import purge as act

    return act(references, reason=reason, is_yes=is_yes)


@click.command()
@click.argument("what", metavar="TABLE|SELECT")
@click.option("--format", "form", metavar="FORMAT", help="parquet, jsonl or csv; default: by the file's ending.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--force", "is_forced", is_flag=True, help="Replace a file that is there.")
@click.option("--escape-formulas", "is_escaping", is_flag=True, help="Put ' before texts that begin like formulas.")
def export(what: str, form: str | None, output: Path, is_forced: bool, is_escaping: bool) -> int:
    """Write a table, a view or the answer to a query to a file.

    The file appears whole or not at all. docs/tables.md lists the tables and views.
    """
    from crucible.cli.export import export as act

    return act(what, form=form, output=output, is_forced=is_forced, is_escaping=is_escaping)


@click.command()
@click.argument("reference", required=False)
@short_format_option
def du(reference: str | None, form: str) -> int:
    """What takes how much space, and what could go.

    REFERENCE counts the content of a run, a submission or an experiment alone.
    """
    from crucible.cli.du import du as act

    return act(reference, form)


@click.command()
@short_format_option
def doctor(form: str) -> int:
    """Look whether everything that a log needs is well here.

    Each line says fine, warning or problem, and what to do. Exit code 5 if there is a problem.
    """
    from crucible.cli.doctor import doctor as act

    return act(form)


@click.command()
@click.option("--yes", "is_yes", is_flag=True, help="Remove it; without this it is only listed.")
@click.option("--older-than", default="1d", show_default=True, metavar="AGE", help="As 90s, 30m, 12h or 7d.")
@short_format_option
def gc(is_yes: bool, older_than: str, form: str) -> int:
    """Remove what nobody needs: first a list, then --yes.

    That is content that no record names, folders of claims that have ended, and old copies of the read model. What
    a record names stays, and so does what is younger than AGE or than a living worker or engine.
    """
    from crucible.cli.gc import gc as act

    return act(is_yes=is_yes, older_than=older_than, form=form)


HOUSEKEEPING: tuple[click.Command, ...] = (rm, purge, export, du, doctor, gc)
