"""``crucible``: what each command is called and takes. What it does is imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from crucible.cli import exits
from crucible.cli.analysis_commands import ANALYSIS_COMMANDS
from crucible.cli.bench_commands import BENCH_COMMANDS
from crucible.cli.housekeeping_commands import HOUSEKEEPING
from crucible.cli.kafka_commands import ON_KAFKA
from crucible.cli.log_commands import LOG_COMMANDS
from crucible.cli.options import (
    FORMATS,
    REFERENCE_HELP,
    as_of_option,
    format_option,
    jobs_option,
    reference_argument,
    short_format_option,
    telemetry_option,
)
from crucible.standard_streams import open_standard_streams, send_to_nothing, write_every_text
from crucible.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="crucible")
def app() -> None:
    """Machine-learning experiments on a message log."""


@app.command()
@click.argument("template", default="minimal")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(), help="Where to put it.")
def init(template: str, folder: Path) -> int:
    """Write an experiment that runs, to start from.

    TEMPLATE is minimal, digits or yaml. A crucible.toml is written beside it.
    """
    from crucible.cli.start import init as act

    return act(template, folder)


@app.command()
@click.argument("file", metavar="FILE[:NAME]")
@click.option("-j", "--jobs", type=int, help="Stages at once; 0 only submits and follows.")
@click.option("--set", "sets", multiple=True, metavar="NAME=V1,V2", help="Replace the values of a parameter.")
@click.option("--smoke", "is_smoke", is_flag=True, help="First cell, one repeat, five steps.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show the grid, start nothing.")
@click.option("--resume", "wants_resume", is_flag=True, help="Go on with the unfinished submission.")
@click.option("--new", "wants_new", is_flag=True, help="Make a new submission.")
@click.option("--force", "is_forced", is_flag=True, help="Execute every stage, reuse no finished one.")
@click.option("--output-dir", type=click.Path(path_type=Path), help="Folder of the run folders.")
def run(jobs: int | None, output_dir: Path | None, **call: str | bool | tuple[str, ...]) -> int:
    """Run an experiment's grid. The same file again resumes what is unfinished."""
    from crucible.cli.run import RunCall, run_experiment

    return run_experiment(RunCall(**call), jobs=jobs, output_dir=output_dir)  # type: ignore[arg-type]


@app.command()
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to work in; default: a new one under artifacts.")
def demo(keep: Path | None) -> int:
    """Run a real grid and kill a worker on screen."""
    from crucible.cli.demo import demo as act

    return act(keep)


@app.command("ls")
@click.argument("experiment", required=False)
@click.option("--where", help='For example "params.rank = 16 and test/accuracy > .95".')
@click.option("--sort", help="For example -test/accuracy,params.rank; default: newest first.")
@click.option("-n", "--limit", type=int, default=20, show_default=True, help="How many.")
@click.option("--all", "is_all", is_flag=True, help="Also hidden runs, and what is done once for a whole grid.")
@click.option("--format", "form", type=click.Choice(FORMATS[:3]), default="table")
@as_of_option
def list_runs(
    experiment: str | None,
    where: str | None,
    sort: str | None,
    limit: int,
    is_all: bool,
    form: str,
    as_of: str | None,
) -> int:
    """List runs: all, those of an EXPERIMENT, or of name#3."""
    from crucible.cli.query import list_runs as act

    return act(experiment, where=where, sort=sort, limit=limit, form=form, is_all=is_all, as_of=as_of)


@app.command(epilog=REFERENCE_HELP)
@reference_argument
@short_format_option
@as_of_option
def show(reference: str, form: str, as_of: str | None) -> int:
    """Everything about a run, a submission or an experiment."""
    from crucible.cli.show import show as act

    return act(reference, form, as_of)


@app.command(epilog=REFERENCE_HELP)
@reference_argument
@jobs_option
@click.option("--stage", metavar="NAME", help="Only this stage; those before it are reused from the original.")
@click.option("--against", metavar="REFERENCE", help="Compare with these runs, execute nothing.")
@short_format_option
def reproduce(reference: str, jobs: int | None, stage: str | None, against: str | None, form: str) -> int:
    """Run it again with today's code and say whether it came out the same.

    Parameters, seeds and datasets are those that were recorded. Exit code 6: something differs.
    """
    from crucible.cli.reproduce import reproduce as act

    return act(reference, stage=stage, against=against, jobs=jobs, form=form)


@app.command(epilog=REFERENCE_HELP)
@click.argument("first")
@click.argument("second")
def diff(first: str, second: str) -> int:
    """What two runs differ in: parameters, results, code."""
    from crucible.cli.show import diff as act

    return act(first, second)


@app.command(epilog=REFERENCE_HELP)
@reference_argument
@click.option("-f", "--follow", "is_following", is_flag=True, help="Go on until the run ends.")
def logs(reference: str, is_following: bool) -> int:
    """What the stages of a run printed."""
    from crucible.cli.stream import logs as act

    return act(reference, is_following)


@app.command(epilog=REFERENCE_HELP)
@click.argument("reference", required=False)
@click.option("-f", "--follow", "is_following", is_flag=True, help="Go on as they come, until Ctrl-C.")
@short_format_option
def events(reference: str | None, is_following: bool, form: str) -> int:
    """The events of a run, or of the whole log; void ones are marked."""
    from crucible.cli.stream import events as act

    return act(reference, is_following, form)


@app.command(epilog=REFERENCE_HELP)
@reference_argument
@click.option("--reason", default="canceled by hand", show_default=True)
def cancel(reference: str, reason: str) -> int:
    """Stop a run, a submission, or an experiment's unfinished runs."""
    from crucible.cli.control import cancel as act

    return act(reference, reason)


@app.command(epilog=REFERENCE_HELP)
@click.argument("reference", required=False)
@click.option("--from", "from_stage", metavar="STAGE", help="First stage to run again.")
@click.option("--failed", metavar="EXPERIMENT", help="Every failed run of this experiment.")
def retry(reference: str | None, from_stage: str | None, failed: str | None) -> int:
    """Run failed or canceled runs again."""
    from crucible.cli.control import retry as act

    return act(reference, from_stage, failed)


@app.command(epilog=REFERENCE_HELP)
@reference_argument
@click.option("--time", "time_s", type=float, help="Seconds of work of all stages together.")
@click.option("--cost", type=float, help="Sum of the cost metric, in its unit.")
@click.option("--runs", type=int, help="Runs that may start.")
def budget(reference: str, time_s: float | None, cost: float | None, runs: int | None) -> int:
    """What a submission may use and has used; with an option, change it."""
    from crucible.cli.budget import budget as act

    return act(reference, time_s=time_s, cost=cost, runs=runs)


@app.command(epilog=REFERENCE_HELP)
@reference_argument
@click.argument("tags", nargs=-1, required=True)
def tag(reference: str, tags: tuple[str, ...]) -> int:
    """Add tags; one with a minus before it, after --, is removed."""
    from crucible.cli.control import tag as act

    return act(reference, tags)


@app.command(epilog=REFERENCE_HELP)
@reference_argument
@click.argument("text")
def note(reference: str, text: str) -> int:
    """Attach a note."""
    from crucible.cli.control import note as act

    return act(reference, text)


@app.command()
@click.argument("query")
@format_option
@as_of_option
@telemetry_option
def sql(query: str, form: str, as_of: str | None, telemetry: str | None) -> int:
    """Ask the read model: one SELECT."""
    from crucible.cli.query import sql as act

    return act(query, form, as_of, telemetry)


@app.command(epilog=REFERENCE_HELP)
@click.argument("reference", required=False)
@as_of_option
@click.option("--tables", "has_tables", is_flag=True, help="The digest of each table of the read model too.")
@click.option("--excluded", "has_excluded", is_flag=True, help="What has no part in the digests, and why.")
@short_format_option
def digest(reference: str | None, as_of: str | None, has_tables: bool, has_excluded: bool, form: str) -> int:
    """Digests of the log, of the read model, and of the results of runs.

    Two logs with the same records have the same Log and Model digest, on any engine. Two executions of one recipe have
    the same Result digest; a REFERENCE says of which runs, else it is of all that have ended.
    """
    from crucible.cli.digest import digest as act

    return act(reference, as_of=as_of, has_tables=has_tables, has_excluded=has_excluded, form=form)


@app.command()
@click.argument("name")
def mark(name: str) -> int:
    """Give the present position a name, for --as-of mark:NAME."""
    from crucible.cli.control import mark as act

    return act(name)


@app.command(epilog=REFERENCE_HELP)
@reference_argument
@click.option("--format", "formats", default="html", show_default=True, help="html,md,tex,ipynb,csv,json or all.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Copy the files to this folder.")
@as_of_option
def report(reference: str, formats: str, output: Path | None, as_of: str | None) -> int:
    """A report of an experiment or a run, in which every number can be traced."""
    from crucible.cli.report import report as act

    return act(reference, formats, output, as_of)


@app.command()
@jobs_option
@click.option("--queue", "queues", multiple=True, help="A queue to serve; again for more.")
def worker(jobs: int | None, queues: tuple[str, ...]) -> int:
    """Run stages of any experiment on this log until told to stop."""
    from crucible.cli.parts import worker as act

    return act(jobs, list(queues) or None)


@app.command()
def engine() -> int:
    """Serve the log: all but the workers.

    Manager, reaper, read model and query port, under the log's engine lock.
    """
    from crucible.cli.parts import engine as act

    return act()


@app.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for other hosts.")
def registry(port: int, host: str) -> int:
    """Serve the log's schemas as a schema registry.

    Answers the read half of Confluent's HTTP API, so that Avro consumers and Kafka pages can read the topics. It needs
    no engine and writes nothing.
    """
    from crucible.cli.parts import registry as act

    return act(host, port)


@app.command("list")
@click.argument("what", type=click.Choice(["stages", "adapters", "datasets"]))
@short_format_option
def list_known(what: str, form: str) -> int:
    """Stages, adapters or datasets, with the schema of their options."""
    from crucible.cli.catalog import list_known as act

    return act(what, form)


@app.command()
@short_format_option
@telemetry_option
def verify(form: str, telemetry: str | None) -> int:
    """Check log, blobs, read model and folders against each other; exit code 5 if one fails."""
    from crucible.cli.verify import verify as act

    return act(form, telemetry)


@app.command()
@telemetry_option
def rebuild(telemetry: str | None) -> int:
    """Make read model and folders anew from log and blobs, beside the living ones, and swap."""
    from crucible.cli.verify import rebuild as act

    return act(telemetry)


for housekeeping in (*ANALYSIS_COMMANDS, *HOUSEKEEPING):
    app.add_command(housekeeping)


for on_kafka in ON_KAFKA:
    app.add_command(on_kafka)


@app.group("log")
def log_group() -> None:
    """The log itself."""


@log_group.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def salvage(source: Path, target: Path) -> int:
    """Rescue every batch whose checksum holds, and list what is lost."""
    from crucible.cli.parts import salvage as act

    return act(source, target)


for log_command in LOG_COMMANDS:
    log_group.add_command(log_command)


@app.group("bench")
def bench_group() -> None:
    """The statistics themselves."""


for bench_command in BENCH_COMMANDS:
    bench_group.add_command(bench_command)


CLICK_BROKEN_PIPE = 1
"""How click exits for a pipe that nobody reads any more."""


def main() -> None:
    """Run the command line and exit."""
    open_standard_streams()
    write_every_text()
    code = call()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        send_to_nothing(1)
    sys.exit(code)


def call(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        outcome = app.main(args=arguments, prog_name="crucible", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        return exits.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return exits.WRONG
    except SystemExit as leave:
        # So click leaves when nobody reads what is printed; what a user's code exits with is a problem by now.
        return exits.FINE if leave.code == CLICK_BROKEN_PIPE else exits.report(leave)
    except BaseException as error:  # noqa: BLE001 - the one place where every error gets its exit code
        return exits.report(error)
    return outcome if isinstance(outcome, int) else exits.FINE
