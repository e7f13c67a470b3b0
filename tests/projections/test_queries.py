"""What can be asked of the read model: reads, all of them; anything else, in no way."""

import math

import pytest

from crucible.errors import UsageError
from crucible.projections.queries import AnswerTooLargeError, Limits, QueryTimeoutError, Session, Watchdog
from tests.projections.content import query
from tests.projections.history import History


@pytest.fixture
def model(project):
    history = History()
    history.submit()
    history.whole_run("r1")
    model = project(history.journal)
    model.catch_up()
    return model


@pytest.fixture
def session(model):
    watchdog = Watchdog()
    session = Session(model.cursor(), watchdog)
    yield session
    session.close()
    watchdog.close()


def test_a_select_gives_names_types_and_rows(session):
    answer = session.rows("SELECT run_id, generation FROM runs WHERE run_id = ?", ["r1"])
    assert (answer.names, answer.types, answer.rows) == (("run_id", "generation"), ("VARCHAR", "INTEGER"), [("r1", 1)])
    assert session.rows("FROM runs SELECT count(*)").rows == [(1,)]
    assert session.rows("SELECT $a + 1", {"a": 1}).rows == [(2,)]


def test_a_moment_with_zone_needs_no_package_of_time_zones(session):
    answer = session.rows("SELECT now() > TIMESTAMPTZ '2020-01-01', now()")
    assert answer.rows[0][0] is True


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO tags VALUES ('run', 'r1', 'x')",
        "WITH a AS (INSERT INTO tags VALUES ('run', 'r1', 'x') RETURNING *) SELECT * FROM a",
        "DELETE FROM runs",
        "UPDATE runs SET status = 'failed'",
        "CREATE TABLE mine (a INTEGER)",
        "CREATE TEMP TABLE mine (a INTEGER)",
        "DROP TABLE runs",
        "SELECT 1; DELETE FROM runs",
        "SELECT 1; SELECT 2",
        "",
        "SELEKT 1",
        "SELECT nothing FROM runs",
        "EXPLAIN ANALYZE DELETE FROM runs",
        "SET threads = 1",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "ATTACH '/dev/null' AS other",
        "COPY runs TO 'runs.csv'",
        "EXPORT DATABASE 'folder'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CHECKPOINT",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SELECT * FROM checkpoint()",
        "SELECT * FROM CheckPoint('model')",
        "SELECT * FROM force_checkpoint()",
        "SELECT * FROM query('DELETE FROM ' || 'runs')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM check' || 'point()'))",
        "SELECT * FROM truncate_duckdb_logs()",
        "SELECT 'query'" + " || 'a'" * 900,
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM model",
    ],
)
def test_anything_but_reading_is_refused_and_changes_nothing(model, session, sql):
    before = query(model, "SELECT run_id, status FROM runs"), query(model, "SELECT * FROM tags")
    with pytest.raises(UsageError):
        session.rows(sql)
    with pytest.raises(UsageError):
        session.arrow(sql)
    assert (query(model, "SELECT run_id, status FROM runs"), query(model, "SELECT * FROM tags")) == before
    assert session.rows("SELECT count(*) FROM runs").rows == [(1,)]


def test_a_name_that_only_sounds_like_acting_can_be_asked(session):
    assert session.rows("SELECT count(*) AS query FROM checkpoints WHERE step > 0").rows == [(1,)]


def test_a_query_is_stopped_at_its_time_limit(session):
    with pytest.raises(QueryTimeoutError, match=r"longer than 0\.1 s"):
        session.rows("SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) = 0", (), Limits(time_s=0.1))
    assert session.rows("SELECT 1").rows == [(1,)]


def test_an_answer_is_whole_or_none(session):
    with pytest.raises(AnswerTooLargeError, match="more than 10 rows"):
        session.rows("SELECT * FROM range(11)", (), Limits(rows=10))
    with pytest.raises(AnswerTooLargeError, match="more than 10 rows"):
        session.arrow("SELECT * FROM range(11)", (), Limits(rows=10))
    with pytest.raises(AnswerTooLargeError, match="larger than 1000 bytes"):
        session.arrow("SELECT i, i FROM range(1000) t(i)", (), Limits(size_bytes=1000))
    assert len(session.rows("SELECT * FROM range(10)", (), Limits(rows=10)).rows) == 10


def test_arrow_and_rows_say_the_same(session):
    import pyarrow as pa

    sql = "SELECT name, step, value FROM metrics ORDER BY sequence"
    table = pa.ipc.open_stream(session.arrow(sql)).read_all()
    assert [tuple(row.values()) for row in table.to_pylist()] == session.rows(sql).rows


def test_a_nan_is_read_as_one(session):
    assert math.isnan(session.rows("SELECT 'nan'::DOUBLE").rows[0][0])
