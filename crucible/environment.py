"""The environment of a submission: code, packages, machine, threads and variables, with secrets taken out.

What decides whether two runs can come out the same, and what a reader asks a year later. It is captured where the
experiment is submitted, costs tens of milliseconds, and never stops a submission: what is not known is null, and
``problem`` says why.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crucible.canonical import canonical_json
from crucible.definition.code_digest import installed_packages
from crucible.dirty_patch import make_patch
from crucible.errors import StorageError
from crucible.redaction import Redactor, known_secrets
from crucible.repository import GitError, read_repository

if TYPE_CHECKING:
    from crucible.blobs import BlobStore

ARGV_WORDS_MAX: Final = 500
WORD_CHARACTERS_MAX: Final = 2_000
VARIABLES_MAX: Final = 200
PACKAGES_BYTES_MAX: Final = 100_000
"""A longer list of packages becomes a blob: definition and environment share the bytes of one record."""
LEFT_OUT_MAX: Final = 50
"""Files named that are not in the diff; the blob names all."""
CPUINFO_BYTES_MAX: Final = 16_384

THREAD_VARIABLES: Final = (
    "BLIS_NUM_THREADS",
    "MKL_DYNAMIC",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_DYNAMIC",
    "OMP_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables that decide over threads, and over kernels, of numeric libraries."""
_OTHERS = """
    CONDA_DEFAULT_ENV LANG LC_ALL LD_LIBRARY_PATH LD_PRELOAD PYTHONHASHSEED PYTHONOPTIMIZE PYTHONPATH PYTHONWARNINGS TZ
    VIRTUAL_ENV
"""
VARIABLES: Final = frozenset(_OTHERS.split())
"""Further variables that are recorded; all others are nobody's business."""
VARIABLE_PREFIXES: Final = (
    *("CRUCIBLE_", "CUBLAS_", "CUDA_", "CUDNN_", "HF_", "JAX_", "KMP_", "MKL_", "NCCL_", "NVIDIA_", "OMP_"),
    *("OPENBLAS_", "PYTORCH_", "SLURM_", "TF_CUDNN_", "TF_DETERMINISTIC_", "TF_ENABLE_", "TF_XLA_", "TOKENIZERS_"),
    *("TORCH_", "TRANSFORMERS_", "XLA_"),
)
_SET_BY_LIBRARIES: Final = frozenset({"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"})
"""scikit-learn and threadpoolctl set these when they are imported: they would say what was imported first, no more."""
_LEVELS: Final = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}),
    ("x86-64-v2", {"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
)
"""Feature levels of the x86-64 psABI: numeric libraries choose their kernels by these."""
_DISTRIBUTION = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")


def capture_environment(project: Path, blobs: BlobStore, *, apart: Sequence[Path] = ()) -> str:
    """The environment as canonical JSON; a dirty diff, and a very long list of packages, become blobs.

    ``project`` is the folder of the experiment; what lies in the folders ``apart`` (log, run folders) is none of its
    files.
    """
    redactor = Redactor(known_secrets(os.environ))
    packages = _packages()
    is_long = len(canonical_json(packages).encode()) > PACKAGES_BYTES_MAX
    facts = {
        "argv": _argv(redactor),
        "cpu": cpu(),
        "git": _git(project.resolve(), blobs, redactor, [path.resolve() for path in apart]),
        "machine": platform.machine(),
        "packages": None if is_long else packages,
        "packages_blob": blobs.put_bytes(canonical_json(packages).encode()) if is_long else None,
        "python": platform.python_version(),
        "python_implementation": platform.python_implementation(),
        "system": platform.platform(),
        "threads": {
            "variables": _variables(redactor, THREAD_VARIABLES),
            "libraries": _thread_libraries(),
        },
        "variables": _variables(redactor, _recorded(os.environ)),
    }
    return canonical_json({**_carried(facts), "removed": redactor.removed})


def cpu() -> dict[str, Any]:
    """The kind of processor and how many of them: on another kind results may differ in the last bits."""
    facts = _cpuinfo()
    flags = set((facts.get("flags") or "").split())
    model = facts.get("model name") or facts.get("cpu model") or facts.get("Hardware") or None
    if model is None and "CPU part" in facts:
        model = f"implementer {facts.get('CPU implementer', '?')} part {facts['CPU part']}"
    return {
        "model": model,
        "level": next((level for level, needed in _LEVELS if needed <= flags), None),
        "count": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)),
    }


def describe_environment(environment: Mapping[str, Any]) -> list[str]:
    """The environment in a few lines for people; what an older version did not record is left out."""
    lines = []
    git = environment.get("git") or {}
    if git.get("commit"):
        state = {True: ", with changes", False: "", None: ", changes not known"}[git.get("is_dirty")]
        blob = f" (diff {git['diff_blob'][:12]}, {git['diff_bytes']} bytes)" if git.get("diff_blob") else ""
        lines.append(f"commit {git['commit'][:12]} on {git.get('branch') or 'no branch'}{state}{blob}")
    elif git.get("problem"):
        lines.append(f"no commit: {git['problem']}")
    processor = environment.get("cpu") or {}
    if processor:
        parts = [processor.get("model"), processor.get("level"), f"{processor.get('count')} CPUs"]
        packages = environment.get("packages")
        count = f", {len(packages)} packages" if packages else ""
        lines.append(f"Python {environment.get('python')}{count}, on {', '.join(str(part) for part in parts if part)}")
    threads = (environment.get("threads") or {}).get("variables") or {}
    if threads:
        lines.append("threads " + ", ".join(f"{name}={value}" for name, value in sorted(threads.items())))
    return lines


def _argv(redactor: Redactor) -> list[str]:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    kept = redactor.words(words[:ARGV_WORDS_MAX])
    cut = [word if len(word) <= WORD_CHARACTERS_MAX else f"{word[:WORD_CHARACTERS_MAX]}…" for word in kept]
    return cut if len(words) == len(cut) else [*cut, f"… and {len(words) - len(cut)} more"]


def _git(project: Path, blobs: BlobStore, redactor: Redactor, apart: Sequence[Path]) -> dict[str, Any]:
    found = read_repository(project, apart)
    facts: dict[str, Any] = {
        "commit": found.commit,
        "branch": None if found.branch is None else redactor.text(found.branch),
        "is_dirty": None,
        "diff_blob": None,
        "diff_bytes": None,
        "is_diff_cut": False,
        "left_out": [],
        "removed": 0,
        "problem": None if found.problem is None else redactor.text(found.problem),
    }
    if found.is_changed is None:
        return facts
    facts["is_dirty"] = found.is_changed or bool(found.untracked)
    if not facts["is_dirty"]:
        return facts
    try:
        patch = make_patch(found, project, redactor)
        if patch.data:
            facts |= {"diff_blob": blobs.put_bytes(patch.data), "diff_bytes": len(patch.data)}
    except (GitError, StorageError) as error:
        return {**facts, "problem": redactor.text(f"the diff could not be kept: {error}")}
    more = len(patch.left_out) - LEFT_OUT_MAX
    left_out = [*patch.left_out[:LEFT_OUT_MAX], *([f"and {more} more"] if more > 0 else [])]
    return {**facts, "left_out": left_out, "removed": patch.removed, "is_diff_cut": patch.is_cut}


def _packages() -> dict[str, str]:
    """Version by name of what is installed; of two with one name the first on the path counts for Python."""
    found: dict[str, str] = {}
    for entry in installed_packages():
        parts = _DISTRIBUTION.fullmatch(entry)
        if parts is not None:
            found.setdefault(parts["name"].replace("_", "-"), parts["version"])
    return found


def _cpuinfo() -> dict[str, str]:
    """The first processor of ``/proc/cpuinfo``; empty where there is none."""
    try:
        with Path("/proc/cpuinfo").open("rb") as file:
            text = file.read(CPUINFO_BYTES_MAX).decode(errors="replace")
    except OSError:
        return {}
    facts: dict[str, str] = {}
    for line in text.splitlines():
        name, sign, value = line.partition(":")
        if sign:
            facts.setdefault(name.strip(), value.strip())
    return facts


def _thread_libraries() -> list[dict[str, Any]] | None:
    """What numeric libraries of this process do; None if none is loaded: loading one for this would take too long."""
    if "numpy" not in sys.modules:
        return None
    from threadpoolctl import threadpool_info

    names = ("user_api", "internal_api", "version", "num_threads", "threading_layer", "architecture")
    found = [{name: library[name] for name in names if name in library} for library in threadpool_info()]
    return sorted(found, key=canonical_json)


def _recorded(environ: Mapping[str, str]) -> list[str]:
    names = [
        name
        for name in environ
        if (name in VARIABLES or name.startswith(VARIABLE_PREFIXES))
        and name not in THREAD_VARIABLES
        and name not in _SET_BY_LIBRARIES
    ]
    return sorted(names)[:VARIABLES_MAX]


def _variables(redactor: Redactor, names: Sequence[str]) -> dict[str, str]:
    found = {name: os.environ[name] for name in names if name in os.environ}
    # cut last: half of a secret is not recognised
    return {name: redactor.value(name, value)[:WORD_CHARACTERS_MAX] for name, value in found.items()}


def _carried(value: Any) -> Any:
    """A value with every text as UTF-8 can carry it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_carried(name): _carried(part) for name, part in value.items()}
    return [_carried(part) for part in value] if isinstance(value, list) else value
