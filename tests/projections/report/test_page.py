"""The page on reports names every function that reports name."""

from pathlib import Path

from tests.projections.report import grids

PAGE = Path(__file__).parents[3] / "docs" / "reports.md"


def test_every_function_of_a_report_is_on_the_page(tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    used = set()
    for place, (make, kind, subject) in enumerate(
        [(grids.grid, "submission", "s1"), (grids.grid, "run", "r8"), (grids.items, "submission", "s1")]
    ):
        report = grids.report_of(make(), tmp_path / str(place), kind, subject)
        used |= {number.function for number in report.numbers}
    assert len(used) > 12
    assert [name for name in sorted(used) if f"`{name}`" not in page] == []


def test_one_run_has_an_interval_over_its_items_and_it_is_that_of_the_verdict(tmp_path):
    report = grids.report_of(grids.items(), tmp_path)
    values = {number.label: number.value for number in report.numbers}
    with grids.model_of(grids.items(), tmp_path / "again") as model:
        rows = model.cursor().execute("SELECT value, low, high, n, method FROM verdicts").fetchall()
    ((value, low, high, n, method),) = rows
    assert method.startswith("Wilson")
    label = "test/accuracy of lr0"
    assert (values[f"mean {label}"], values[f"{label}, items"]) == (value, n)
    assert (values[f"{label}, lower end"], values[f"{label}, upper end"]) == (low, high)
