import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")


def test_every_example_of_the_python_page_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    said = []
    for number, block in enumerate(blocks, start=1):
        script = tmp_path / f"page_{number}.py"
        call = "\nfrom pathlib import Path\ntest_fit(Path('kept'))\n" if "def test_fit" in block else ""
        script.write_text(block + call, encoding="utf-8")
        done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "adhoc#1/base.1" in said[1]
    assert "RunCompleted" in said[2]
