"""``cancel``, ``retry``, ``tag``, ``note``: commands to whatever manages the log, alive or started for the moment."""

from __future__ import annotations

from collections.abc import Sequence

from crucible.cli.compose import open_manager
from crucible.cli.exits import FINE, WRONG
from crucible.cli.located import located_settings
from crucible.cli.text import plain, say
from crucible.errors import UsageError
from crucible.lookup import find_run, find_runs, find_subject, runs_to_retry
from crucible.records import CommandAccepted, CommandObsolete, CommandRejected

UNFINISHED = ("pending", "running")
RETRIED = ("failed", "canceled")


def cancel(reference: str, reason: str) -> int:
    """Stop a run, a submission, or every unfinished run of an experiment."""
    with open_manager(located_settings()) as (reader, sender):
        subject = find_subject(reader, reference)
        if subject.kind == "run":
            answers = [sender.cancel_run(subject.id, reason)]
        else:
            runs = find_runs(reader, subject, UNFINISHED)
            submissions = sorted({str(run["submission_id"]) for run in runs})
            answers = [sender.cancel_submission(subject.experiment, each, reason) for each in submissions]
    if not answers:
        say(f"{subject.name}: nothing to cancel")
    for answer in answers:
        say(f"{subject.name}: {answer.reason if isinstance(answer, CommandObsolete) else 'canceling'}")
    return FINE


def retry(reference: str | None, from_stage: str | None, failed: str | None) -> int:
    """Run failed or canceled runs again."""
    if (reference is None) == (failed is None):
        message = "retry takes either a run or --failed EXPERIMENT"
        raise UsageError(message)
    with open_manager(located_settings()) as (reader, sender):
        if failed is not None:
            runs = runs_to_retry(find_runs(reader, find_subject(reader, failed), ("failed",)))
        else:
            subject = find_subject(reader, reference or "")
            runs = runs_to_retry(find_runs(reader, subject, RETRIED if subject.kind != "run" else ()))
        answers = sender.retry_runs([str(run["run_id"]) for run in runs], from_stage)
    if not runs:
        say("nothing to retry")
    for run, answer in zip(runs, answers, strict=True):
        say(f"{run['ref']}: {_outcome_of_retry(answer)}")
    if any(isinstance(answer, CommandAccepted) for answer in answers):
        say("a worker picks them up: crucible run with the same file, or crucible worker beside crucible engine")
    return WRONG if any(isinstance(answer, CommandRejected) for answer in answers) else FINE


def _outcome_of_retry(answer: CommandAccepted | CommandObsolete | CommandRejected) -> str:
    if isinstance(answer, CommandRejected):
        return "refused: " + "; ".join(answer.errors)
    return answer.reason if isinstance(answer, CommandObsolete) else "will run again"


def tag(reference: str, tags: Sequence[str]) -> int:
    """Add tags, and remove those with a minus before them."""
    removed = [text[1:] for text in tags if text.startswith("-")]
    added = [text for text in tags if not text.startswith("-")]
    if not all(removed + added):
        message = "a tag can't be empty"
        raise UsageError(message)
    with open_manager(located_settings()) as (reader, sender):
        subject = find_subject(reader, reference)
        if subject.kind == "experiment":
            message = f"{reference} is an experiment; tag a run, or a submission such as {reference}#1"
            raise UsageError(message)
        sender.change_tags(subject.kind, subject.id, added, removed)
    say(f"{subject.name}: {plain(', '.join([*added, *('-' + text for text in removed)]))}")
    return FINE


def note(reference: str, text: str) -> int:
    """Attach a note."""
    with open_manager(located_settings()) as (reader, sender):
        subject = find_subject(reader, reference)
        if subject.kind == "experiment":
            subject = find_run(reader, reference)
        sender.add_note(subject.kind, subject.id, text)
    say(f"{subject.name}: noted")
    return FINE


def mark(name: str) -> int:
    """Give the present position a name."""
    with open_manager(located_settings()) as (reader, sender):
        sender.set_mark(name)
        (row,) = reader.rows("SELECT position FROM marks WHERE name = ?", [name])
    say(f"mark:{plain(name)} is {row['position']}")
    return FINE
