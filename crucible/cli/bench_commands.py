"""``crucible bench …`` on the command line: what each command is called and takes."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--test", "tests", metavar="KIND", multiple=True, help="Only cases of this kind; may be given again.")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
def check(file: Path, tests: tuple[str, ...], form: str) -> int:
    """Compute every case of a reference FILE and print each field that differs.

    The file has the format bench-reference/1: kinds of tests with inputs, options, expected fields and tolerances.
    Exit code 6: something differs.
    """
    from crucible.cli.bench import check as act

    return act(file, tests, form)


BENCH_COMMANDS = (check,)
