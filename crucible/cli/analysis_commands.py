"""``crucible analyze`` on the command line: what it is called and takes."""

from __future__ import annotations

import click

from crucible.cli.options import REFERENCE_HELP, reference_argument, short_format_option


@click.command(epilog=REFERENCE_HELP)
@reference_argument
@click.option("--test", "tests", metavar="NAME", multiple=True, help="Kind of test, such as wilcoxon; may be repeated.")
@click.option("--metric", "metrics", metavar="NAME", multiple=True, help="Metric to compare by; may be repeated.")
@click.option("--by", metavar="P1,P2", help="Parameters whose values make the groups, or cell.")
@click.option("--pair", metavar="UNIT", help="repeat, item, item_and_repeat or none.")
@click.option("--against", metavar="GROUP", help="Compare each other group with this one; default: each two.")
@click.option("--alternative", metavar="SIDE", help="two-sided, less or greater.")
@click.option("--margin", type=float, help="Of --test tost: the smallest difference that matters.")
@click.option("--correction", metavar="NAME", help="Of each family, such as holm, bh or none.")
@click.option("--alpha", type=float, help="Chance of error that each family is allowed.")
@short_format_option
def analyze(reference: str, form: str, **asked: str | float | tuple[str, ...] | None) -> int:
    """Analyse a finished experiment again from its log, beside its own analysis.

    Without --metric and --by the tests that the experiment declares are made again, with what is said otherwise;
    with one of them, or of an experiment that declares none, new ones. What is asked for after the data is
    exploratory, and says so. What differs from the first analysis is shown.
    """
    from crucible.cli.analyze import Asked
    from crucible.cli.analyze import analyze as act

    return act(reference, Asked(**asked), form)  # type: ignore[arg-type]


ANALYSIS_COMMANDS = (analyze,)
