"""The harness itself: it finds what is wrong on a page, and says where."""

import time
from pathlib import Path

import pytest

from tests.docs.page_blocks import blocks_of
from tests.docs.run_page import PageError, PageRun


@pytest.fixture
def read(tmp_path):
    def act(text):
        page = tmp_path / "page.md"
        page.write_text(text, encoding="utf-8")
        with PageRun(tmp_path / "project") as reader:
            for block in blocks_of(page):
                reader.run(block)

    return act


GOOD = {
    "a session goes on from one block to the next": "```console\n$ x=1\n$ cd /\n```\n\n```console\n$ echo $x; pwd\n1\n/\n```\n",
    "a command of two lines": "```console\n$ for i in 1 2\n> do echo $i; done\n1\n2\n```\n",
    "an exit code that is asked for": "```console\n$ (exit 3)\n$ echo $?\n3\n```\n",
    "commands whose output is not shown": "```sh\necho one\n# a remark\necho two\n```\n",
    "output in a block of its own": "```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n",
    "a file that a command reads": '```yaml title="in/a.yaml"\na: 1\n```\n\n```console\n$ cat in/a.yaml\na: 1\n```\n',
    "a picture": "Words.\n\n```text\n  |---|\n```\n",
    "an endless command": "```console\n$ bash -c 'while true; do echo tick; sleep 0.05; done'\ntick\ntick\n^C\n```\n",
    "a target of make": "```sh\nmake test   # takes long\n```\n",
    "a block that is marked": "<!-- not run: there is no such command -->\n```sh\nno_such_command\n```\n",
}
BAD = {
    "```console\n$ echo one\ntwo\n```\n": r"page\.md:2: echo one\nprinted something else",
    "```console\n$ echo one\n```\n": r"page\.md:2: echo one\nprinted something else",
    "text\n\n```console\n$ true\n$ false\n```\n": r"page\.md:5: false\nfailed \(exit code 1\)",
    "```sh\nfalse\n```\n": r"page\.md:1: false",
    "```python\nprint(3)\n```\n```text\n2\n```\n": r"page\.md:1: the program\nprinted something else",
    "```python\nraise SystemExit('no')\n```\n": r"failed \(exit code 1\)\nit printed:\n  no",
    "```\ncrucible ls\n```\n": "a block of language ''",
    "```yaml\na: [\n```\n": "is no yaml",
    '```python title="../out.py"\n```\n': "leads out of the reader's folder",
    "```console\nwithout a prompt\n```\n": "begins with a command",
    "```sql\nselect 1\n```\n": "there is no log",
    "```sh\nmake no_such_target\n```\n": "no_such_target",
    "```console\n$ echo tick; exit 7\n```\n": r"exit code 7",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_page_may_hold(read, name):
    read(GOOD[name])


@pytest.mark.parametrize("page", BAD)
def test_a_page_that_is_wrong_is_told_with_its_line(read, page):
    with pytest.raises(PageError, match=BAD[page]):
        read(page)


def test_a_mark_holds_for_one_block_only(read):
    with pytest.raises(PageError):
        read("<!-- not run: this one can't be executed -->\n```sh\nfalse\n```\n\n```sh\nfalse\n```\n")


def test_an_endless_command_that_says_something_else_is_told(read, monkeypatch):
    monkeypatch.setattr("tests.docs.run_page.ENDLESS_LIMIT_S", 1)
    with pytest.raises(PageError, match="did not print in time what the page shows"):
        read("```console\n$ echo tock; sleep 60\ntick\n^C\n```\n")


def test_an_endless_command_that_goes_on_after_an_interrupt_is_told(read, monkeypatch):
    monkeypatch.setattr("tests.docs.shell_session.LEAVE_LIMIT_S", 1)
    with pytest.raises(PageError, match="went on after an interrupt"):
        read("```console\n$ bash -c 'trap true INT; while true; do echo tick; sleep 0.05; done'\ntick\n^C\n```\n")


def test_what_a_page_leaves_running_is_ended(read, tmp_path):
    read("```sh\nsleep 300 &\necho $! > pid\n```\n")
    pid = (tmp_path / "project" / "pid").read_text().strip()
    until = time.monotonic() + 10
    while time.monotonic() < until and _is_alive(pid):
        time.sleep(0.01)
    assert not _is_alive(pid)


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
