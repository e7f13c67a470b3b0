"""How tables and views of the read model are declared: name, type, what a value means, and what is not content.

A column that is *physical* says where a row came from (offsets, append times, numbers given on arrival). Two read
models of the same records may differ in it; in every other column they are equal, whatever batches and restarts were.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column: its DuckDB type and one line for analysts."""

    name: str
    type: str
    text: str
    is_physical: bool = False

    @property
    def sql(self) -> str:
        """The column in ``CREATE TABLE``."""
        return f"{self.name} {self.type}"


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A stored table."""

    name: str
    text: str
    columns: tuple[Column, ...]

    @property
    def sql(self) -> str:
        """The ``CREATE TABLE`` statement."""
        return f"CREATE TABLE {self.name} ({', '.join(column.sql for column in self.columns)})"


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """A view over tables: what analysts read where a table alone would mislead."""

    name: str
    text: str
    select: str
    columns: tuple[tuple[str, str], ...] = ()
    """Columns and what they mean, where the tables below do not say it."""

    @property
    def sql(self) -> str:
        """The ``CREATE VIEW`` statement."""
        return f"CREATE VIEW {self.name} AS {self.select}"


def physical(name: str, type_: str, text: str) -> Column:
    """A column that is no content."""
    return Column(name, type_, text, is_physical=True)


RUN_NO = physical("run_no", "INTEGER", "number of the run in this read model, in order of first sight; prunes scans")
RUN_ID = Column("run_id", "VARCHAR", "the run")
STAGE = Column("stage", "VARCHAR", "stage name")
ATTEMPT = Column("attempt", "INTEGER", "attempt of the stage, from 1")
CLAIM_ID = Column("claim_id", "VARCHAR", "the claim under which it was made")
SPOOL_NO = physical("spool_no", "INTEGER", "number of the spool in this read model")
SEQUENCE = Column("sequence", "BIGINT", "sequence number within the spool")
EVENT_ID = Column("event_id", "VARCHAR", "the event, for citations")
IS_EFFECTIVE = Column("is_effective", "BOOLEAN", "its claim is in the winning chain, and it lies below the claim's end")
