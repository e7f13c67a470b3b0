"""What a read model says, without what is physical: equal for equal records, however they were read."""

from crucible.projections.tables import TABLES

NUMBERED = {"points", "scored_items", "run_keys", "metric_names", "telemetry_records"}
"""Tables of numbers; the views over them are compared instead."""


def content(projector):
    cursor = projector.cursor()
    try:
        found = {
            table.name: rows(
                cursor,
                f"SELECT {', '.join(c.name for c in table.columns if not c.is_physical)} FROM {table.name}",
            )
            for table in TABLES
            if table.name not in NUMBERED and not all(column.is_physical for column in table.columns)
        }
        for view in ("metrics", "metrics_effective", "predictions", "predictions_effective", "commands", "targets"):
            found[view] = rows(cursor, f"SELECT * FROM {view}")
        return found
    finally:
        cursor.close()


def rows(cursor, sql, parameters=()):
    return sorted(repr(row) for row in cursor.execute(sql, parameters).fetchall())


def query(projector, sql, *parameters):
    cursor = projector.cursor()
    try:
        return cursor.execute(sql, parameters).fetchall()
    finally:
        cursor.close()
