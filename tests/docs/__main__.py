"""Checks the documentation: links lead somewhere, generated pages are current. ``python -m tests.docs``."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
GENERATED = (
    "crucible.cli.commands_page",
    "crucible.projections.tables_page",
    "crucible.records.json_schema",
    "crucible.records.reference",
    "crucible.rules.states_page",
)
"""Modules that write a page, and check it with ``--check``."""


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def broken_links() -> list[str]:
    found = []
    for page in pages():
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                found.append(f"{page.relative_to(ROOT)}: no such file: {target}")
    return found


def stale_pages() -> list[str]:
    found = []
    for module in GENERATED:
        done = subprocess.run(
            [sys.executable, "-m", module, "--check"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            found.append(f"python -m {module}: {(done.stdout + done.stderr).strip().splitlines()[-1:]}")
    return found


def main() -> int:
    problems = broken_links() + stale_pages()
    for problem in problems:
        print(problem)
    print(f"{len(pages())} pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
