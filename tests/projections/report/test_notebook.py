"""The notebook runs from the files beside it, without Crucible, and comes to the same numbers."""

import sys

import nbformat
import pytest

from crucible.projections.report.render import render
from tests.projections.report import grids

nbclient = pytest.importorskip("nbclient")


@pytest.mark.slow
@pytest.mark.parametrize("make", [grids.grid, grids.hostile])
def test_the_notebook_computes_the_numbers_once_more(tmp_path, make, monkeypatch):
    report = grids.report_of(make(), tmp_path)
    for name, content in render(report, ["ipynb"]).items():
        (tmp_path / name).write_bytes(content)
    book = nbformat.read(tmp_path / "report.ipynb", as_version=4)
    guard = "import sys; sys.modules['crucible'] = None"
    book.cells.insert(0, nbformat.v4.new_code_cell(guard))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    client = nbclient.NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    printed = "".join(out.get("text", "") for cell in book.cells for out in cell.get("outputs", []))
    assert report.name in printed
    assert "numbers of the report were computed again, and are the same" in printed
    if make is grids.grid:
        assert int(printed.split(" numbers of the report were")[0].split()[-1]) >= 9
    assert sys.modules["crucible"] is not None


def test_the_notebook_is_valid_and_has_no_outputs(tmp_path):
    files = render(grids.report_of(grids.grid(), tmp_path), ["ipynb"])
    assert set(files) == {"report.ipynb", "report.json", "runs.csv", "curves.csv"}
    book = nbformat.reads(files["report.ipynb"].decode(), as_version=4)
    nbformat.validate(book)
    assert not any(cell.get("outputs") for cell in book.cells)
    assert len({cell["id"] for cell in book.cells}) == len(book.cells)
