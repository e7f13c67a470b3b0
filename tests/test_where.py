import pytest

from crucible.errors import UsageError
from crucible.where import compile_sort, compile_where, unknown_names

duckdb = pytest.importorskip("duckdb")

RUNS = [
    ("a", "digits#1/r16.1", "digits", 1, "completed", "r16", 1, 0, 7, "default", False, None),
    ("b", "digits#1/r8.1", "digits", 1, "failed", "r8", 1, 1, 7, "default", False, "ValueError"),
    ("c", "mine#1/.1", "mine", 1, "canceled", "", 1, 0, 9, "default", True, None),
]


@pytest.fixture
def connection():
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE runs(run_id VARCHAR, ref VARCHAR, experiment VARCHAR, number INT, status VARCHAR, label VARCHAR,"
        " repeat INT, cell_index INT, seed BIGINT, namespace VARCHAR, is_smoke BOOLEAN, reason VARCHAR)"
    )
    con.executemany(f"INSERT INTO runs VALUES ({','.join('?' * 12)})", RUNS)
    con.execute("CREATE TABLE params(run_id VARCHAR, name VARCHAR, value VARCHAR, number DOUBLE)")
    con.executemany(
        "INSERT INTO params VALUES (?,?,?,?)",
        [("a", "train.rank", "16", 16.0), ("b", "train.rank", "8", 8.0), ("c", "mode", "fast", None)],
    )
    con.execute("CREATE TABLE result_metrics(run_id VARCHAR, name VARCHAR, value DOUBLE)")
    con.executemany(
        "INSERT INTO result_metrics VALUES (?,?,?)", [("a", "test/accuracy", 0.97), ("b", "test/accuracy", 0.9)]
    )
    con.execute("CREATE TABLE tags(subject_id VARCHAR, tag VARCHAR)")
    con.execute("INSERT INTO tags VALUES ('c', 'baseline')")
    yield con
    con.close()


def test_a_metric_called_score_is_not_taken_for_a_misspelt_scope():
    _, parameters = compile_where("score > 0.5 and scope = run")
    assert parameters == ["score", 0.5, "run"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("params.rank = 16 and test/accuracy > .95", "a"),
        ("params.train.rank >= 8", "ab"),
        ("params.mode = fast", "c"),
        ("status in (failed, canceled)", "bc"),
        ("not status = failed", "ac"),
        ("tags = baseline or label = r8", "bc"),
        ("(repeat = 1 and seed = 7) and not (label = r16)", "b"),
        ("ref ~ 'digits'", "ab"),
        ("smoke = true", "c"),
        ("reason ~ value", "b"),
        ("test/accuracy < 1e3", "ab"),
        ("cell != 0", "b"),
    ],
)
def test_a_filter_finds_what_it_says(connection, text, found):
    condition, parameters = compile_where(text)
    rows = connection.execute(f"SELECT run_id FROM runs r WHERE {condition} ORDER BY 1", parameters).fetchall()
    assert "".join(row[0] for row in rows) == found


def test_a_run_that_diverged_passes_no_bound_and_is_sorted_last(connection):
    connection.execute("INSERT INTO result_metrics VALUES ('c', 'test/accuracy', 'nan')")
    condition, parameters = compile_where("test/accuracy > .95")
    assert connection.execute(f"SELECT run_id FROM runs r WHERE {condition}", parameters).fetchall() == [("a",)]
    for text, order in (("-test/accuracy", "abc"), ("test/accuracy", "bac")):
        clause, parameters = compile_sort(text)
        rows = connection.execute(f"SELECT run_id FROM runs r ORDER BY {clause}", parameters).fetchall()
        assert "".join(row[0] for row in rows) == order


@pytest.mark.parametrize(
    ("text", "order"), [("-test/accuracy", "abc"), ("params.rank", "bac"), ("-experiment,-ref", "cba")]
)
def test_sorting_follows_the_names_given(connection, text, order):
    clause, parameters = compile_sort(text)
    rows = connection.execute(f"SELECT run_id FROM runs r ORDER BY {clause}", parameters).fetchall()
    assert "".join(row[0] for row in rows) == order


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rank",
        "rank =",
        "= 3",
        "(rank = 3",
        "rank = 3 and",
        "rank in 3",
        "rank in (3",
        "a = 1 b = 2",
        "stats = failed",
        "x = 'open",
        "(" * 200,
    ],
)
def test_a_filter_that_can_not_be_read_says_where(text):
    with pytest.raises(UsageError, match="--where"):
        compile_where(text)


def test_what_was_typed_never_reaches_the_sql_text(connection):
    condition, parameters = compile_where("""params.x;DROP = "'; DROP TABLE runs; --" """)
    assert "DROP" not in condition
    assert connection.execute(f"SELECT count(*) FROM runs r WHERE {condition}", parameters).fetchone() == (0,)


def test_stage_dot_option_names_a_parameter(connection):
    condition, parameters = compile_where("train.rank >= 16")
    rows = connection.execute(f"SELECT run_id FROM runs r WHERE {condition}", parameters).fetchall()
    assert rows == [("a",)]


def test_names_that_no_run_has_are_told_with_the_nearest_one():
    told = unknown_names("test/acuracy > .9 and params.ranc = 3 and status = failed", ["test/accuracy"], ["train.rank"])
    assert len(told) == 2
    assert "'test/accuracy'" in told[0]
    assert "'rank'" in told[1]
    assert unknown_names("params.rank = 3 and train.rank = 3", [], ["train.rank"]) == []
