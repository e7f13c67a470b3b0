import pytest

from tests.projections.report import grids

CASES = {
    "grid": (grids.grid, "submission", "s1"),
    "hostile": (grids.hostile, "submission", "s1"),
    "limited": (grids.limited, "submission", "s1"),
    "run": (grids.grid, "run", "r3"),
    "failed-run": (grids.grid, "run", "r8"),
    "hostile-run": (grids.hostile, "run", "r1"),
}


@pytest.fixture(scope="package", params=CASES, ids=list(CASES))
def case(request, tmp_path_factory):
    """A report of each kind, and the open model that it was made from."""
    make, kind, subject_id = CASES[request.param]
    folder = tmp_path_factory.mktemp("report")
    history = make()
    with grids.model_of(history, folder) as model:
        cursor = model.cursor()
        reader = grids.CursorReader(cursor)
        report = grids.make_report(
            reader, kind, subject_id, position=str(model.position), log_id=history.journal.log_id
        )
        yield report, cursor
        cursor.close()
