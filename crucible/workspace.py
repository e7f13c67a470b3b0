"""The Python side of reading: ``cr.open().runs.df()`` in a notebook, and what ``Experiment.run`` returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crucible.cli.located import located_settings
from crucible.errors import DependencyError
from crucible.lookup import NOT_HIDDEN
from crucible.scope import RUN_SCOPE
from crucible.settings import Settings
from crucible.where import compile_sort, compile_where, names_in

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer to a query, in whichever form is wanted."""

    stream: bytes
    """Arrow IPC stream."""

    def arrow(self) -> pa.Table:
        """As an Arrow table."""
        import pyarrow.ipc

        return pyarrow.ipc.open_stream(self.stream).read_all()

    def rows(self) -> list[dict[str, Any]]:
        """As a list of mappings from column to value."""
        return list(self.arrow().to_pylist())

    def df(self) -> pd.DataFrame:
        """As a pandas data frame; ``DependencyError`` names `arrow` where pandas is not installed."""
        try:
            import pandas  # noqa: F401, ICN001 - only whether it is there
        except ImportError:
            message = (
                "df() needs pandas: pip install 'crucible-experiments[pandas]'; arrow() and rows() work without it"
            )
            raise DependencyError(message) from None
        return self.arrow().to_pandas()


class Runs:
    """The runs of a workspace, or of one submission of it."""

    def __init__(self, workspace: Workspace, submission_id: str | None = None) -> None:
        """All runs unless ``submission_id`` is given."""
        self._workspace = workspace
        self._submission_id = submission_id

    def __repr__(self) -> str:
        """Where the runs are."""
        return f"Runs({self._workspace.log})"

    def query(self, where: str | None = None, sort: str | None = None) -> Answer:
        """The runs with their result metrics, one row a run and one column ``metric`` for each.

        ``where`` and ``sort`` are those of ``crucible ls``; by default in order of creation. What is done once for a
        whole grid is left out unless ``where`` names ``scope``.
        """
        conditions: list[str] = []
        parameters: list[object] = []
        if where is None or "scope" not in names_in(where):
            conditions.append(f"r.scope = '{RUN_SCOPE}'")
        if self._submission_id is None:
            conditions.append(NOT_HIDDEN)
        else:
            conditions.append("r.submission_id = ?")
            parameters.append(self._submission_id)
        if where is not None:
            condition, more = compile_where(where)
            conditions.append(condition)
            parameters += more
        order, more = compile_sort(sort) if sort is not None else ("r.created_at, r.grid_index", [])
        tail = f"{'WHERE ' + ' AND '.join(conditions) if conditions else ''} ORDER BY {order}"
        return self._workspace.wide_runs(tail, [*parameters, *more])

    def df(self, where: str | None = None, sort: str | None = None) -> pd.DataFrame:
        """The runs as a pandas data frame."""
        return self.query(where, sort).df()

    def arrow(self, where: str | None = None, sort: str | None = None) -> pa.Table:
        """The runs as an Arrow table."""
        return self.query(where, sort).arrow()

    def rows(self, where: str | None = None, sort: str | None = None) -> list[dict[str, Any]]:
        """The runs as mappings."""
        return self.query(where, sort).rows()


class Workspace:
    """A log with everything on it, to be asked. Holds nothing open between two questions."""

    def __init__(self, settings: Settings) -> None:
        """Use `open_workspace`."""
        self._settings = settings

    def __repr__(self) -> str:
        """Where it is."""
        return f"Workspace({str(self.log)!r})"

    @property
    def log(self) -> Path:
        """Folder of the log."""
        return self._settings.log

    @property
    def runs(self) -> Runs:
        """All runs."""
        return Runs(self)

    def sql(self, query: str, parameters: Sequence[object] = ()) -> Answer:
        """The answer to one SELECT. Raises ``UsageError`` for anything else."""
        from crucible.cli.compose import open_reader

        with open_reader(self._settings) as reader:
            return Answer(reader.arrow(query, parameters))

    def wide_runs(self, tail: str, parameters: Sequence[object]) -> Answer:
        """Runs with one column for each result metric and parameter; ``tail`` is compiled, not typed."""
        from crucible.cli.compose import open_reader

        with open_reader(self._settings) as reader:
            metrics = [str(row["name"]) for row in reader.rows("SELECT DISTINCT name FROM result_metrics ORDER BY 1")]
            params = [str(row["name"]) for row in reader.rows("SELECT DISTINCT name FROM params ORDER BY 1")]
            picked = [_pick("result_metrics", "value", name, name) for name in metrics]
            picked += [_pick("params", "coalesce(number::VARCHAR, value)", name, f"params.{name}") for name in params]
            base = "r.ref, r.run_id, r.experiment, r.number, r.label, r.repeat, r.status, r.reason, r.seed,"
            rest = "r.is_smoke, r.is_simulated, r.reused_stages, r.created_at, r.started_at, r.ended_at"
            sql = f"SELECT {', '.join([base + rest, *picked])} FROM runs r {tail}"  # noqa: S608 - names are quoted
            return Answer(reader.arrow(sql, parameters))


def _pick(table: str, column: str, name: str, alias: str) -> str:
    text, label = name.replace("'", "''"), alias.replace('"', '""')
    where = f"x.run_id = r.run_id AND x.name = '{text}'"
    return f'(SELECT any_value({column}) FROM {table} x WHERE {where}) AS "{label}"'  # noqa: S608 - both are quoted


def open_workspace(log: str | Path | None = None) -> Workspace:
    """The log of this folder, or the one in ``log``: what the command line would use."""
    return Workspace(located_settings(log=str(log) if log is not None else None))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What ``Experiment.run`` came to."""

    submission_id: str
    exit_code: int
    """As the command line would exit."""
    workspace: Workspace

    @property
    def runs(self) -> Runs:
        """The runs of this submission."""
        return Runs(self.workspace, self.submission_id)

    @property
    def verdicts(self) -> list[Mapping[str, Any]]:
        """The verdicts on the quality targets."""
        sql = "SELECT * FROM targets WHERE submission_id = ? ORDER BY metric, cell_index"
        return list(self.workspace.sql(sql, [self.submission_id]).rows())

    @property
    def findings(self) -> list[str]:
        """What the grid says, in words."""
        sql = "SELECT sentence FROM findings WHERE submission_id = ? ORDER BY generation, number"
        return [str(row["sentence"]) for row in self.workspace.sql(sql, [self.submission_id]).rows()]
