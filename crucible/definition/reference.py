"""What people write to name a run, a submission or an experiment: ``digits_lora#3/r16-lr3e-3.2``.

Only the text is read here. Whether there is such a run, and which one a prefix means, the read model knows.

=====================  ==================================================================
``@last``, ``@best``   the newest run; the best run by the experiment's ``select``
``NAME``               an experiment
``NAME@best``          its best run (``@last``: its newest)
``NAME#3``             its third submission; ``NAME#3@best``, ``NAME#3@last``
``NAME#3/LABEL``       a cell: all its repeats
``NAME#3/LABEL.2``     the second repeat of a cell: one run
``019aae21-28fb``      a run id, or a unique prefix of one or of a reference
=====================  ==================================================================
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final, Literal

from crucible.errors import UsageError

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
NAME_WORDS: Final = "at most 64 letters, digits, '_', '-' and '.', the first one a letter, digit or '_'"

Special = Literal["last", "best"]

_SPECIAL: Final[dict[str, Special]] = {"last": "last", "best": "best"}
_ID_PREFIX: Final = re.compile(r"[0-9a-f][0-9a-f-]{0,35}")
_REFERENCE: Final = re.compile(
    r"(?P<experiment>[A-Za-z0-9_][A-Za-z0-9_.-]*)?"
    r"(?:\#(?:(?P<number>[1-9][0-9]{0,8})(?:/(?:(?P<label>[A-Za-z0-9_-]+)(?:\.(?P<repeat>[1-9][0-9]{0,8})?)?)?)?)?)?"
    r"(?:@(?P<special>last|best))?"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """A reference, taken apart; what it does not say is None."""

    text: str
    experiment: str | None = None
    number: int | None = None
    label: str | None = None
    repeat: int | None = None
    special: Special | None = None
    id_prefix: str | None = None
    """Set if the text may also be (the beginning of) a run id."""

    @property
    def is_run(self) -> bool:
        """Whether it names one run in full."""
        return self.repeat is not None or self.special is not None

    @property
    def prefix(self) -> str | None:
        """What the references of all runs that it may mean begin with; None for ``@last`` and ``@best`` alone."""
        if self.experiment is None:
            return None
        return self.text.partition("@")[0]


def parse_reference(text: str) -> Reference:
    """Take a reference apart; ``UsageError`` if it can't be one."""
    text = text.strip()
    found = _REFERENCE.fullmatch(text)
    parts = found.groupdict() if found else {}
    has_start = parts.get("experiment") is not None
    if (
        not found
        or not (has_start or parts["special"])
        or (parts["number"] and not has_start)
        or (parts["label"] and parts["special"])
    ):
        message = (
            f"{text!r} is no reference: write NAME, NAME#3, NAME#3/LABEL.2, a run id or its beginning, @last or @best"
        )
        raise UsageError(message)
    special = _SPECIAL.get(parts["special"] or "")
    alone = parts["number"] is None and special is None
    return Reference(
        text=text,
        experiment=parts["experiment"],
        number=_whole(parts["number"]),
        label=parts["label"],
        repeat=_whole(parts["repeat"]),
        special=special,
        id_prefix=text if alone and _ID_PREFIX.fullmatch(text) else None,
    )


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)
