"""A Dockerfile's steps executed without an engine: every folder of the image is one below a folder of ours.

Base images are this machine; nothing is changed outside of the folder. What steps name of the image (``/opt/crucible``)
is found below it by replacing the path, also in what they execute.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deployment.reading import ROOT, dockerfile

STEP_TIMEOUT_S = 900
OF_THE_IMAGE = re.compile(r"(?<![\w.-])/(?=(?:build|opt|crucible|blobs)\b)")
"""The beginning of a path that belongs to the image; all others are this machine's."""
PIP_CACHE = "/pip-cache"
"""Where the image keeps what was downloaded: mounted while it is built, and here what pip has on this machine."""


class Image:
    """The last stage, built below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.stages: dict[str, Path] = {}
        self.environ: dict[str, str] = {}
        for number, stage in enumerate(dockerfile()["Stages"]):
            self.root = folder / (stage["Name"] or str(number))
            self.root.mkdir(parents=True)
            self.stages[stage["Name"]] = self.root
            self.cwd = self.root
            self.environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
            self.entrypoint: list[str] = []
            for step in stage["Steps"]:
                self._do(step["Name"], step["Step"])

    def here(self, text: str) -> str:
        """A text with paths of the image, with where they are on this machine."""
        return OF_THE_IMAGE.sub(f"{self.root}/", text).replace(PIP_CACHE, _pip_cache())

    def _do(self, name, step):
        if name == "WORKDIR":
            self.cwd = Path(self.here(step["Path"]))
            self.cwd.mkdir(parents=True, exist_ok=True)
        elif name == "ENV":
            for each in step["Env"]:
                value = each["Value"].replace("$PATH", self.environ["PATH"])
                self.environ[each["Key"]] = ":".join(self.here(part) for part in value.split(":"))
        elif name == "COPY":
            self._copy(step)
        elif name == "RUN":
            (command,) = step["CmdLine"]
            self.run("sh", "-euc", self.here(command))
        elif name == "ENTRYPOINT":
            self.entrypoint = step["CmdLine"]
        else:
            assert name in {"USER", "CMD"}, name

    def _copy(self, step):
        source = self.stages[step["From"]] if step["From"] else ROOT
        target = Path(self.here(step["DestPath"]))
        for name in step["SourcePaths"]:
            found = source / name.lstrip("/")
            place = self.cwd / target / (found.name if step["DestPath"].endswith("/") else "")
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(found, place)
        if step["From"]:
            self._moved(source)

    def _moved(self, source):
        """Scripts of an environment name its place, which is another one in each stage of ours."""
        for script in (self.root / "opt/crucible/bin").iterdir():
            if (
                script.is_file()
                and not script.is_symlink()
                and str(source) in (text := script.read_text("utf-8", "replace"))
            ):
                script.write_text(text.replace(str(source), str(self.root)))

    def run(self, *words, check=True, **environ):
        """Run a program as the image would; its output."""
        done = subprocess.run(
            words, cwd=self.cwd, env={**self.environ, **environ}, capture_output=True, text=True,
            timeout=STEP_TIMEOUT_S, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{shlex.join(map(str, words))}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def call(self, *words, **environ):
        """Call the entry point."""
        program = shutil.which(self.entrypoint[0], path=self.environ["PATH"])
        return self.run(program, *self.entrypoint[1:], *words, **environ)


@functools.cache
def _pip_cache():
    words = [sys.executable, "-m", "pip", "cache", "dir"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
