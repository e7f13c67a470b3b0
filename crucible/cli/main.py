"""``crucible``: what each command is called and takes. What it does is imported when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from crucible.cli import exits

app = typer.Typer(
    name="crucible",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Machine-learning experiments on a message log.",
)
log_app = typer.Typer(no_args_is_help=True, help="The log itself.", rich_markup_mode=None)
app.add_typer(log_app, name="log")

Reference = Annotated[str, typer.Argument(help="name#3/label.repeat, name#3, a unique prefix, @last or @best")]
Format = Annotated[str, typer.Option("--format", help="table, csv, json or arrow")]


@app.command()
def init(
    template: Annotated[str, typer.Argument(help="minimal, digits or yaml")] = "minimal",
    folder: Annotated[Path, typer.Option(help="where to put it")] = Path(),
) -> int:
    """Write a crucible.toml and an experiment that runs."""
    from crucible.cli.start import init as act

    return act(template, folder)


@app.command()
def run(
    file: Annotated[str, typer.Argument(help="FILE[:NAME], Python or YAML")],
    jobs: Annotated[int | None, typer.Option("-j", "--jobs", help="stages at once; 0 only submits and follows")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="train.learning_rate=1e-3,1e-2")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="first cell, one repeat, five steps")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the grid, start nothing")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the unfinished submission")] = False,
    new: Annotated[bool, typer.Option("--new", help="make a new submission")] = False,
    output_dir: Annotated[Path | None, typer.Option("--output-dir", help="folder of the run folders")] = None,
) -> int:
    """Run an experiment's grid."""
    from crucible.cli.run import RunCall, run_experiment

    call = RunCall(
        file=file,
        sets=tuple(sets or ()),
        is_smoke=smoke,
        is_dry_run=dry_run,
        wants_resume=resume,
        wants_new=new,
    )
    return run_experiment(call, jobs=jobs, output_dir=output_dir)


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="folder to work in; default: a new one under artifacts")] = None,
) -> int:
    """Run a real grid, kill a worker on screen, and see another one go on."""
    from crucible.cli.demo import demo as act

    return act(keep)


@app.command("ls")
def list_runs(
    experiment: Annotated[str | None, typer.Argument(help="experiment, name#3, or nothing for all")] = None,
    where: Annotated[str | None, typer.Option("--where", help='"params.rank = 16 and test/accuracy > .95"')] = None,
    sort: Annotated[str | None, typer.Option("--sort", help="-test/accuracy,params.rank; default: newest")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", help="how many")] = 20,
    form: Format = "table",
) -> int:
    """List runs, the newest 20 unless told otherwise."""
    from crucible.cli.query import list_runs as act

    return act(experiment, where=where, sort=sort, limit=limit, form=form)


@app.command()
def show(reference: Reference, form: Annotated[str, typer.Option("--format", help="table or json")] = "table") -> int:
    """Everything about a run, a submission or an experiment."""
    from crucible.cli.show import show as act

    return act(reference, form)


@app.command()
def diff(first: Reference, second: Reference) -> int:
    """What two runs differ in: parameters, results, code."""
    from crucible.cli.show import diff as act

    return act(first, second)


@app.command()
def logs(reference: Reference, follow: Annotated[bool, typer.Option("-f", "--follow")] = False) -> int:
    """What the stages of a run printed."""
    from crucible.cli.stream import logs as act

    return act(reference, follow)


@app.command()
def events(
    reference: Annotated[str | None, typer.Argument(help="a run; nothing for all")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow")] = False,
    form: Annotated[str, typer.Option("--format", help="table or json")] = "table",
) -> int:
    """The events of a run, or of the whole log."""
    from crucible.cli.stream import events as act

    return act(reference, follow, form)


@app.command()
def cancel(reference: Reference, reason: Annotated[str, typer.Option(help="why")] = "canceled by hand") -> int:
    """Stop a run, a submission, or an experiment's unfinished runs."""
    from crucible.cli.control import cancel as act

    return act(reference, reason)


@app.command()
def retry(
    reference: Annotated[str | None, typer.Argument(help="a failed or canceled run")] = None,
    from_stage: Annotated[str | None, typer.Option("--from", help="first stage to run again")] = None,
    failed: Annotated[str | None, typer.Option("--failed", help="every failed run of this experiment")] = None,
) -> int:
    """Run failed runs again."""
    from crucible.cli.control import retry as act

    return act(reference, from_stage, failed)


@app.command()
def tag(
    reference: Reference,
    tags: Annotated[list[str], typer.Argument(help="tags to add; with a minus before it, to remove (after --)")],
) -> int:
    """Add and remove tags."""
    from crucible.cli.control import tag as act

    return act(reference, tags)


@app.command()
def note(reference: Reference, text: Annotated[str, typer.Argument(help="the note")]) -> int:
    """Attach a note."""
    from crucible.cli.control import note as act

    return act(reference, text)


@app.command()
def sql(query: Annotated[str, typer.Argument(help="one SELECT")], form: Format = "table") -> int:
    """Ask the read model in SQL."""
    from crucible.cli.query import sql as act

    return act(query, form)


@app.command()
def worker(
    jobs: Annotated[int | None, typer.Option("-j", "--jobs", help="stages at once")] = None,
    queues: Annotated[list[str] | None, typer.Option("--queue", help="queues to serve")] = None,
) -> int:
    """Run stages of any experiment on this log until told to stop."""
    from crucible.cli.parts import worker as act

    return act(jobs, queues)


@app.command()
def engine() -> int:
    """Manager, reaper, read model and query port, under the log's engine lock."""
    from crucible.cli.parts import engine as act

    return act()


@app.command("list")
def list_known(
    what: Annotated[str, typer.Argument(help="stages, adapters or datasets")],
    form: Annotated[str, typer.Option("--format", help="table or json")] = "table",
) -> int:
    """Stages, adapters or datasets, with the schema of their options."""
    from crucible.cli.catalog import list_known as act

    return act(what, form)


@log_app.command()
def salvage(source: Path, target: Path) -> int:
    """Rescue every batch whose checksum holds, and list what is lost."""
    from crucible.cli.parts import salvage as act

    return act(source, target)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(call(arguments))


def call(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        outcome: Any = app(args=arguments, prog_name="crucible", standalone_mode=False)
    except typer.Abort:
        return exits.INTERRUPTED
    except typer.TyperException as error:
        show = getattr(error, "show", None)
        if show is not None:
            show()
        return exits.WRONG
    except BaseException as error:  # noqa: BLE001 - the one place where every error gets its exit code
        return exits.report(error)
    return outcome if isinstance(outcome, int) else exits.FINE
