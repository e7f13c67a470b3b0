"""``crucible rm``: runs and submissions that are not to be listed any more. Nothing goes."""

from __future__ import annotations

from collections.abc import Sequence

from crucible.cli.compose import Reading, open_manager
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.references import find_subjects
from crucible.cli.text import plain, say
from crucible.lookup import HIDDEN_TAG, Subject
from crucible.records import CommandObsolete


def hide(references: Sequence[str], *, is_undo: bool) -> int:
    """Hide what the references mean from lists, or show it again; an experiment means all its submissions."""
    with open_manager(located_settings()) as (reader, sender):
        subjects = [part for subject in find_subjects(reader, references) for part in _parts(reader, subject, is_undo)]
        tags: tuple[list[str], list[str]] = ([], [HIDDEN_TAG]) if is_undo else ([HIDDEN_TAG], [])
        answers = [sender.change_tags(subject.kind, subject.id, *tags) for subject in subjects]
    for subject, answer in zip(subjects, answers, strict=True):
        done = "shown again" if is_undo else "hidden"
        state = f"not {HIDDEN_TAG}" if is_undo else f"{HIDDEN_TAG} already"
        say(f"{plain(subject.name)}: {state if isinstance(answer, CommandObsolete) else done}")
    if not subjects:
        say("nothing to show again" if is_undo else "nothing to hide")
    elif not is_undo:
        say("nothing was removed; crucible ls --all lists it, crucible rm --undo shows it again")
    return FINE


def _parts(reader: Reading, subject: Subject, is_undo: bool) -> list[Subject]:
    """A run or submission itself; of an experiment the submissions that are not yet as wanted."""
    if subject.kind != "experiment":
        return [subject]
    hidden = f"EXISTS (SELECT 1 FROM tags h WHERE h.tag = '{HIDDEN_TAG}' AND h.subject_id = s.submission_id)"
    rows = reader.rows(
        f"SELECT submission_id, number FROM submissions s WHERE experiment = ? AND {'' if is_undo else 'NOT'} {hidden}"
        " ORDER BY number",
        [subject.id],
    )
    return [
        Subject("submission", str(row["submission_id"]), f"{subject.id}#{row['number']}", subject.id) for row in rows
    ]
