"""Arguments and options that several commands take."""

from __future__ import annotations

import click

REFERENCE_HELP = "A REFERENCE is name#3/label.repeat, name#3, name, a unique prefix, @last or @best."
FORMATS = ("table", "csv", "json", "arrow")

reference_argument = click.argument("reference")
jobs_option = click.option("-j", "--jobs", type=int, help="Stages at once.")
short_format_option = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
as_of_option = click.option(
    "--as-of", metavar="MOMENT", help="The state then: a position, run:REFERENCE, report:ID, mark:NAME or a time."
)
format_option = click.option("--format", "form", type=click.Choice(FORMATS), default="table")
telemetry_option = click.option(
    "--telemetry", metavar="PARTITIONS", help="The read model here that holds these partitions, for example 0-2,5."
)
