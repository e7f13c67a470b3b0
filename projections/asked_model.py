"""What a query port asks: a read model that is kept here, or a merged view of several."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from crucible.journal import Journal
from crucible.position import Position
from crucible.projections.accounts import Statistics
from crucible.projections.queries import Session, Watchdog


class AskedModel(Protocol):
    """A model that answers queries. Every method may be called from any thread."""

    journal: Journal
    """The log that it is of."""

    @property
    def generation(self) -> int:
        """Changes when cursors that are open do not see what is new."""
        ...

    @property
    def position(self) -> Position:
        """What answers come from."""
        ...

    def open_session(self, watchdog: Watchdog) -> Session:
        """A session for one connection; close it. Raises ``ReadModelError`` when closed."""
        ...

    def ends(self) -> Position:
        """What can be waited for now."""
        ...

    def wake(self) -> None:
        """Somebody asks now."""
        ...

    def wait_for(self, position: Position, timeout_s: float) -> bool:
        """Sleep until ``position`` is reached; False when ``timeout_s`` passed first."""
        ...

    def catch_up(self) -> Position:
        """Be as new as can be; the position reached."""
        ...

    def statistics(self) -> Statistics:
        """How the model does."""
        ...

    def copy_to(self, target: Path) -> Position:
        """Make a copy of it. Raises ``CrucibleError`` if there can be none."""
        ...

    def take_copy(self) -> Position:
        """Publish a copy for other DuckDB clients, unless the last one is as new. Raises as ``copy_to``."""
        ...
