"""A folder whose log is gone though what only it explains is still there: a new log must not begin beside that."""

from __future__ import annotations

from crucible.errors import UsageError
from crucible.place import Place


def raise_if_lost(place: Place) -> None:
    """Raise ``UsageError`` if the embedded log of ``place`` is gone, and its blobs or its read model are not.

    No record of a new log would name those blobs: ``crucible gc`` would remove them.
    """
    if place.log_address is not None:
        return
    try:
        if _has_log(place):
            return
        left = _left(place)
        # What another process has made in between came after its log: look for the log again.
        if not left or _has_log(place):
            return
    except OSError:
        return  # whoever opens the log says what is wrong with its place
    message = (
        f"there is no log in {place.log}, but {' and '.join(left)} of one in {place.root}. If the log was moved, put "
        f"its folder back; if it is lost for good, remove {place.root} to begin anew, or choose another place with "
        "CRUCIBLE_LOG"
    )
    raise UsageError(message)


def _left(place: Place) -> list[str]:
    has_blobs = place.blobs.is_dir() and any(path.is_file() for path in place.blobs.glob("sha256/*/*"))
    return ["blobs"] * has_blobs + ["the read model"] * place.read_model.exists()


def _has_log(place: Place) -> bool:
    """Whether something of a log is there: of a damaged one others say what it is."""
    return place.log.is_dir() and any(path.stat().st_size for path in place.log.iterdir())
