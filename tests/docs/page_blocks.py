"""The blocks of a page: what stands between fences, with the line, the title and the mark above it.

How pages are written, so that a test can execute them:

- ``console``: a session. A line with ``$`` before it is a command (``>`` goes on with it), the lines after it are what
  it prints. ``...`` stands for whatever varies: within a line for any text, alone on a line for any lines. A session
  that ends in ``^C`` is interrupted once it has printed what the page shows.
- ``sh``: commands whose output is not shown.
- ``python``: a program of its own. ``sql``: asked with ``crucible sql``. A ``text`` block right below either, or below
  ``sh``, is what it prints.
- Any language with ``title="name"`` is a file of that name; nothing else happens to it.
- ``yaml``, ``toml``, ``json`` without a title are read by a parser. ``text`` by itself is a picture.
- A language in braces is a directive of the site (a list of pages, the reference): nothing to execute.
- ``<!-- not run: reason -->`` above a block says why it can't be executed.

Blocks of one page are executed in order, in one folder that is empty at first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
NOT_RUN = re.compile(r"<!--\s*not run:\s*(.*?)\s*-->", re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
PRINTING = ("python", "sh", "sql")
"""Languages of blocks whose output may stand in a text block right below them."""


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    page: Path
    line: int
    """Of the opening fence, from 1."""
    language: str
    title: str | None
    body: str
    not_run: str | None
    """Why it can't be executed."""
    expected: str | None
    """What it prints, by the block below it; None: the page does not say."""

    @property
    def place(self) -> str:
        """Page and line, as an editor opens them."""
        return f"{name_of(self.page)}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read and whose blocks are executed."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def name_of(page: Path) -> str:
    """A page as its place in the repository."""
    return str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order. A text block that is what another one prints belongs to that one."""
    found: list[Block] = []
    for block, is_below in _raw_blocks(page):
        above = found[-1] if found and is_below else None
        if above and block.language == "text" and above.language in PRINTING and above.title is None:
            found[-1] = replace(above, expected=block.body)
        else:
            found.append(block)
    return found


def _raw_blocks(page: Path) -> Iterator[tuple[Block, bool]]:
    """Each block, and whether it stands right below another one."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    mark: str | None = None
    was_block = False
    for token in tokens:
        if token.type == "fence":
            language, _, rest = token.info.strip().partition(" ")
            title = TITLE.search(rest)
            assert token.map is not None
            yield (
                Block(
                    page, token.map[0] + 1, language, title[1] if title else None, token.content, mark, expected=None
                ),
                was_block,
            )
            mark, was_block = None, True
        elif token.type == "html_block" and (said := NOT_RUN.search(token.content)):
            mark = " ".join(said[1].split())
        elif token.type != "html_block":
            mark, was_block = None, False
