"""Everything that the read model holds: the list of tables and views, and the version of that list."""

from __future__ import annotations

from typing import Any

from crucible.projections.columns import Table
from crucible.projections.tables_analysis import ANALYSIS_TABLES
from crucible.projections.tables_limits import LIMIT_TABLES
from crucible.projections.tables_log import LOG_TABLES
from crucible.projections.tables_runs import RUN_TABLES
from crucible.projections.tables_telemetry import TELEMETRY_TABLES
from crucible.projections.views import VIEWS

MODEL_VERSION = "3"
"""Changes with any table, view or rule of projection; a read model of another version is rebuilt."""

TABLES: tuple[Table, ...] = (*RUN_TABLES, *ANALYSIS_TABLES, *TELEMETRY_TABLES, *LOG_TABLES, *LIMIT_TABLES)
TABLES_BY_NAME = {table.name: table for table in TABLES}


def create_tables(connection: Any) -> None:
    """Make all tables and views in an empty database."""
    for statement in [*(table.sql for table in TABLES), *(view.sql for view in VIEWS)]:
        connection.execute(statement)
