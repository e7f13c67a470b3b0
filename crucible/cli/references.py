"""Several references of one call: all that can't be understood are told at once."""

from __future__ import annotations

from collections.abc import Sequence

from crucible.errors import UsageError
from crucible.lookup import Reader, Subject, find_subject


def find_subjects(reader: Reader, references: Sequence[str]) -> list[Subject]:
    """What each reference means, once. Raises ``UsageError`` with every one that means nothing or several things."""
    found: dict[tuple[str, str], Subject] = {}
    problems = []
    for reference in references:
        try:
            subject = find_subject(reader, reference)
            found.setdefault((subject.kind, subject.id), subject)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("\n".join(problems))
    return list(found.values())
