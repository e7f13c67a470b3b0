"""``crucible init``: a settings file and an experiment that runs, to start from."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path

from crucible.cli.exits import FINE
from crucible.cli.text import say
from crucible.errors import UsageError
from crucible.settings import FILE_NAME

TEMPLATES = {
    "minimal": {"own_stage.py": "experiment.py"},
    "digits": {"digits_lora.py": "experiment.py"},
    "yaml": {"own_stage.yaml": "experiment.yaml", "own_stage.py": "own_stage.py"},
}
"""For each template, the files of it and what they are called in the user's folder."""
SETTINGS_TEXT = """\
# Settings of every crucible command in this folder and below; a flag or CRUCIBLE_* wins over it.
# output_dir = "artifacts/crucible"   # folders of runs: manifest, metrics, checkpoints
# jobs = 2                            # stages at once
# adapter = "local"                   # for experiments that name none
"""


def init(template: str, folder: Path) -> int:
    """Write the files of a template; refuse, before anything is written, if one of them is there."""
    files = TEMPLATES.get(template)
    if files is None:
        near = difflib.get_close_matches(template, TEMPLATES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        message = f"there is no template {template}: {', '.join(TEMPLATES)}{hint}"
        raise UsageError(message)
    texts = {folder / target: template_text(source).replace(source, target) for source, target in files.items()}
    there = [str(path) for path in texts if path.exists()]
    if there:
        message = f"{', '.join(there)}: already there; nothing was written"
        raise UsageError(message)
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / FILE_NAME
    if not settings.exists():
        texts = {settings: SETTINGS_TEXT, **texts}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
        say(f"wrote {path}")
    say(f"next: crucible run {folder / next(iter(files.values()))} -j 2")
    return FINE


def template_text(name: str) -> str:
    """A template's text: inside the package when it was installed, in ``examples`` in a checkout."""
    packaged = resources.files("crucible.cli") / "templates" / name
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "examples" / name).read_text(encoding="utf-8")
