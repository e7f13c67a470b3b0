"""Many short commands for the price of one start: each runs in a fork of a process that has imported everything.

Called as a program with a JSON list of argument lists; prints a JSON list of [exit code, stdout, stderr].
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile

from crucible.cli.main import main
from tests.acceptance.conftest import TIMEOUT_S, Project


def run_each(project: Project, calls: list[list[str]], **environ: str) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each call in the project's folder."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.forked", str(project.folder), json.dumps(calls)],
        env={**project.environ, **environ}, capture_output=True, text=True, timeout=TIMEOUT_S, check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return [tuple(each) for each in json.loads(done.stdout)]


def _fork(arguments: list[str]) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = ["crucible", *arguments]
            code = 70
            try:
                main()
            except SystemExit as leave:
                code = leave.code
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code, *(_text(file) for file in (out, err))


def _text(file) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


if __name__ == "__main__":
    for each in ("crucible.definition.document", "crucible.definition.load"):
        importlib.import_module(each)
    os.chdir(sys.argv[1])
    sys.path[0] = ""
    print(json.dumps([_fork(arguments) for arguments in json.loads(sys.argv[2])]))
