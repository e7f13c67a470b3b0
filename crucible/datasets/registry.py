"""Datasets by name, and by path: what a reference in an experiment stands for.

A package adds its own under the entry point group ``crucible.datasets``: a name, and a `Source`.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib.metadata
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from crucible.datasets.dataset import Dataset, Split
from crucible.datasets.digits import DigitsOptions, RotatedDigitsOptions, load_digits
from crucible.datasets.files import SUFFIXES, FileOptions, is_file_source, load_file
from crucible.definition.model import DatasetReference
from crucible.errors import DatasetError

ENTRY_POINT_GROUP = "crucible.datasets"

OptionsModel = TypeVar("OptionsModel", bound=pydantic.BaseModel)


class UnpinnedDatasetWarning(UserWarning):
    """A dataset is read from a file that no digest pins: the same experiment may mean other content tomorrow."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A named dataset: how to load it, and its options."""

    summary: str
    """What it is, in one line."""
    options: type[pydantic.BaseModel]
    """Model of its options; refuses unknown ones."""
    load: Callable[[str, Any], Dataset]
    """Called with the dataset's name and its options."""
    version: str | None = None
    """What a reference's version must be, if it has one; None: the source has no versions."""


BUILT_IN: Mapping[str, Source] = {
    "digits": Source("1,797 handwritten digits, 8 by 8 pixels, upright", DigitsOptions, load_digits, "1998"),
    "digits_rotated": Source("the same digits, turned by 90 degrees", RotatedDigitsOptions, load_digits, "1998"),
}


def sources() -> dict[str, Source]:
    """All named datasets: built-in ones, then those of installed packages, which can't replace built-in ones."""
    found: dict[str, Source] = {}
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        source = point.load()
        if not isinstance(source, Source):
            message = f"entry point {point.name!r} of group {ENTRY_POINT_GROUP} ({point.value}) is no Source"
            raise DatasetError(message)
        found[point.name] = source
    return {**found, **BUILT_IN}


def describe() -> list[dict[str, Any]]:
    """Return name, summary and JSON Schema of the options of each source, files last."""
    rows = [
        {
            "name": name,
            "summary": source.summary,
            "version": source.version,
            "options": source.options.model_json_schema(),
        }
        for name, source in sorted(sources().items())
    ]
    files = {
        "name": " ".join(f"*{suffix}" for suffix in SUFFIXES),
        "summary": "a file by path; pin it with digest: its SHA-256",
        "options": FileOptions.model_json_schema(),
    }
    return [*rows, files]


def load(
    reference: str | Mapping[str, Any] | DatasetReference, *, name: str | None = None, root: Path | None = None
) -> Dataset:
    """Load what a reference stands for.

    ``name`` is what the experiment calls it (the source, if not given); relative paths start at ``root`` (the current
    folder, if not given). A pin (``digest``) must be the SHA-256 of the file or the digest of the content. Raises
    DatasetError: unknown source, bad options, unreadable, or changed.
    """
    wanted = as_reference(reference)
    title = name or wanted.source
    if is_file_source(wanted.source):
        _check_version(title, wanted, None)
        options = _options(title, FileOptions, wanted.options)
        dataset = load_file(title, (root or Path()) / wanted.source, options)
    else:
        source = _named(wanted.source)
        _check_version(title, wanted, source.version)
        dataset = source.load(title, _options(title, source.options, wanted.options))
    _check_pin(dataset, wanted)
    return _restricted(dataset, wanted)


def as_reference(reference: str | Mapping[str, Any] | DatasetReference) -> DatasetReference:
    """Return a reference in full from a name, a path or a mapping of its fields."""
    if isinstance(reference, DatasetReference):
        return reference
    fields = {"source": reference} if isinstance(reference, str) else dict(reference)
    try:
        return DatasetReference.model_validate(fields)
    except pydantic.ValidationError as error:
        message = f"dataset reference {fields}: {_problems(error)}"
        raise DatasetError(message) from error


def _named(source: str) -> Source:
    if source in BUILT_IN:
        return BUILT_IN[source]  # without looking through the installed packages, which takes milliseconds
    known = sources()
    if source in known:
        return known[source]
    near = difflib.get_close_matches(source, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    message = (
        f"there is no dataset {source!r}{hint} Known are {', '.join(sorted(known))}, and paths that end in "
        f"{', '.join(SUFFIXES)}"
    )
    raise DatasetError(message)


def _options(title: str, model: type[OptionsModel], options: Mapping[str, Any]) -> OptionsModel:
    try:
        return model.model_validate(dict(options))
    except pydantic.ValidationError as error:
        message = f"options of dataset {title}: {_problems(error)}"
        raise DatasetError(message) from error


def _problems(error: pydantic.ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'value'}: {problem['msg']} (got {problem['input']!r})"
        for problem in error.errors()
    )


def _check_version(title: str, reference: DatasetReference, version: str | None) -> None:
    if reference.version not in {None, version}:
        has = f"has version {version}" if version else "has no versions: pin it by its digest"
        message = f"dataset {title}: version {reference.version} is asked for, {reference.source} {has}"
        raise DatasetError(message)


def _check_pin(dataset: Dataset, reference: DatasetReference) -> None:
    """Refuse content that is not what the reference pins; warn if a file is not pinned at all."""
    file_digest = dataset.source.get("sha256") if is_file_source(reference.source) else None
    if reference.digest is None:
        if file_digest is not None:
            message = f"dataset {dataset.name}: {reference.source} is not pinned; add digest: {file_digest}"
            warnings.warn(message, UnpinnedDatasetWarning, stacklevel=3)
        return
    pinned = reference.digest.removeprefix("sha256:")
    if pinned not in {dataset.digest, file_digest}:
        actual = dataset.digest if file_digest is None else file_digest
        message = (
            f"dataset {dataset.name} has changed: {reference.source} has digest {actual}, pinned is {pinned}; "
            "bring the pinned content back, or pin the new digest"
        )
        raise DatasetError(message)


def _restricted(dataset: Dataset, reference: DatasetReference) -> Dataset:
    """Keep only the split and as many items of each split as the reference says."""
    if reference.split is None and reference.limit is None:
        return dataset
    wanted = list(dataset.splits.values()) if reference.split is None else [dataset.split(reference.split)]
    kept = [
        Split(s.name, s.ids[: reference.limit], s.inputs[: reference.limit], s.labels[: reference.limit])
        for s in wanted
    ]
    source = {**dataset.source, "whole_digest": dataset.digest, "split_only": reference.split, "limit": reference.limit}
    return Dataset(dataset.name, kept, source)
