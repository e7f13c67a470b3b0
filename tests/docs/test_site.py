"""The site is built without a warning, needs no network, and holds every public name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

import crucible
from crucible import testing

ROOT = Path(__file__).parents[2]
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)\s*=\s*["']?([^"'\s>]+)"""
    r"""|<link\b[^>]*?\bhref\s*=\s*["']?([^"'\s>]+)""",
    re.IGNORECASE,
)
"""What a browser fetches by itself; a link that a reader may follow is none of it."""
LOADED_BY_STYLE = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])([^"')\s]+)""")
FETCHING = re.compile(
    r"""\b(?:fetch|importScripts|XMLHttpRequest|sendBeacon|WebSocket)\b[^;]{0,80}?["'](?:https?:)?//"""
)
ELSEWHERE = re.compile(r"^(?:https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", folder / "doctrees", ROOT / "docs", folder / "html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def fetched(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        return [one or other for one, other in LOADED.findall(text)] + LOADED_BY_STYLE.findall(text)
    return LOADED_BY_STYLE.findall(text) if path.suffix == ".css" else FETCHING.findall(text)


def test_no_page_style_or_script_of_the_site_asks_another_server(site):
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css", ".js"}]
    assert len(files) > 20
    assert [(path.name, url) for path in files for url in fetched(path) if ELSEWHERE.match(url)] == []


def test_everything_that_a_page_fetches_lies_beside_it(site):
    for page in site.glob("*.html"):
        for url in fetched(page):
            target = url.partition("?")[0].partition("#")[0]
            if target and not target.startswith("data:"):
                assert (page.parent / target).exists(), f"{page.name}: {url}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ('<link rel="stylesheet" href="https://fonts.example/a.css">', "https://fonts.example/a.css"),
        ("<script async src=//cdn.example/a.js></script>", "//cdn.example/a.js"),
        ("<style>@import 'https://x.example/a.css'</style>", "https://x.example/a.css"),
        ("<style>a { background: url(https://x.example/a.png) }</style>", "https://x.example/a.png"),
    ],
)
def test_a_page_that_asks_another_server_would_be_found(tmp_path, text, url):
    page = tmp_path / "page.html"
    page.write_text(text)
    assert [found for found in fetched(page) if ELSEWHERE.match(found)] == [url]


def test_every_public_name_is_in_the_reference(site):
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    known = {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}
    wanted = [f"crucible.{name}" for name in crucible.__all__] + [
        f"crucible.testing.{name}" for name in testing.__all__
    ]
    assert [name for name in wanted if name not in known] == []


def test_the_search_works_from_a_folder(site):
    assert (site / "searchindex.js").read_text(encoding="utf-8").startswith("Search.setIndex(")
