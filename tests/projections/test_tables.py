"""The documented tables are the tables, and the documented queries run and find something."""

import re
from pathlib import Path

import pytest

from crucible.projections import tables_page
from crucible.projections.queries import Session, Watchdog
from crucible.projections.tables import TABLES
from crucible.projections.views import VIEWS
from tests.projections.content import content, query
from tests.projections.history import History

PAGE = Path(tables_page.PAGE)
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def model(project):
    history = History(experiment="digits_lora")
    history.submit(3, name="digits_lora")
    params = {"train.rank": 4, "train.learning_rate": 3e-3}
    for repeat in (1, 2):
        history.whole_run(f"r{repeat}", repeat=repeat, params=params, label="r4-lr3e-3")
    history.whole_run("r3", cell=1, params={**params, "train.rank": 8}, label="r8-lr3e-3")
    history.takeover("r4")
    history.close(3)
    history.create("r5", cell=2, stages=("fit",))
    history.start("r5")
    history.request("r5")
    history.claim("r5", "c5a")
    where = history.where("r5", "c5a")
    history.add(
        "StageFailed", **where, error_class="transient", error_type="OSError", message="gone", is_retryable=True
    )
    history.request("r5", attempt=2)
    history.claim("r5", "c5b", attempt=2)
    model = project(history.journal)
    model.catch_up()
    return model


def test_there_are_ten_queries_for_analysts():
    assert len(QUERIES) >= 10


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_a_documented_query_runs_and_finds_something(model, number):
    watchdog = Watchdog()
    session = Session(model.cursor(), watchdog)
    try:
        assert session.rows(QUERIES[number]).rows, QUERIES[number]
    finally:
        session.close()
        watchdog.close()


def test_the_page_is_what_the_tables_are():
    assert tables_page.main(["--check"]) == 0


def test_a_page_that_is_behind_is_noticed_and_brought_up_to_date(tmp_path, capsys):
    page = tmp_path / "tables.md"
    page.write_text("# Tables\n")
    assert tables_page.main(["--check", str(page)]) == 1
    assert "--write" in capsys.readouterr().err
    assert tables_page.main(["--write", str(page)]) == 0
    assert tables_page.main(["--check", str(page)]) == 0
    assert page.read_text().startswith("# Tables\n")


def test_views_document_each_of_their_columns(model):
    for view in VIEWS:
        cursor = model.cursor()
        cursor.execute(f"SELECT * FROM {view.name}")
        assert tuple(column[0] for column in cursor.description) == tuple(name for name, _ in view.columns), view.name
        cursor.close()


def test_every_name_is_documented_once():
    names = [part.name for part in (*TABLES, *VIEWS)]
    assert len(set(names)) == len(names)
    for table in TABLES:
        columns = [column.name for column in table.columns]
        assert len(set(columns)) == len(columns), table.name
        assert all(column.text for column in table.columns), table.name


def test_points_by_column_and_row_by_row_are_the_same(project, monkeypatch):
    values = [float(number % 7) for number in range(200)]
    history = History()
    history.submit(1)
    history.create("r1", stages=("fit", "score"))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.points("r1", "c1", [*values, float("nan"), float("inf")])
    history.points("r1", "c1", values, name="val/accuracy", first=100)
    saved = history.checkpoint("r1", "c1", 200)
    history.points("r1", "c1", values)
    history.expire(saved, "r1", "c1")
    history.claim("r1", "c2")
    history.resume(saved, "r1", "c2")
    history.predictions("r1", "c2", [*values, None], stage="fit")
    found = []
    for few in (0, 150, 10_000):
        monkeypatch.setattr("crucible.projections.telemetry.FEW", few)
        model = project(history.journal, f"model{few}")
        model.catch_up()
        assert query(model, "SELECT count(*) FROM dead_letters") == [(0,)]
        found.append(content(model))
    assert found[0] == found[1] == found[2]
    assert len(found[0]["metrics"]) == 500
