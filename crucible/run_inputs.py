"""What a stage reads: datasets, artifacts of earlier stages, and what an adapter is given to start from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crucible.errors import UsageError
from crucible.run_files import materialise
from crucible.stage_call import Artifact, Services, StageCall

if TYPE_CHECKING:
    from crucible.adapters.protocol import Adapter, OpenRequest
    from crucible.datasets.dataset import Dataset
    from crucible.stage_blobs import StageBlobs


class Inputs:
    """The inputs of one claim; each is loaded once."""

    def __init__(self, call: StageCall, services: Services) -> None:
        """Load nothing yet."""
        self._call = call
        self._services = services
        self._datasets: dict[str, Dataset] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._split_of: dict[str, dict[str, str]] = {}

    @functools.cached_property
    def blobs(self) -> StageBlobs:
        """The blobs of the log."""
        from crucible.stage_blobs import open_stage_blobs

        return open_stage_blobs(self._call, self._services)

    def dataset(self, name: str) -> Dataset:
        """A dataset, recorded as an input at its first use. Raises ``DatasetError``."""
        if name not in self._datasets:
            dataset = self._load(name)
            self._services.use_dataset(name, dataset.digest, dataset.items, dataset.source)
            self._datasets[name] = dataset
        return self._datasets[name]

    def artifact(self, argument: str) -> Artifact:
        """The artifact given for an argument, copied and compared. Raises ``UsageError``, ``BlobError``."""
        if argument not in self._artifacts:
            if argument not in self._call.inputs:
                known = ", ".join(sorted(self._call.inputs)) or "none"
                message = f"stage {self._call.stage} has no input {argument!r}; its inputs are {known}"
                raise UsageError(message)
            self._artifacts[argument] = self._fetched(argument, self._call.inputs[argument])
        return self._artifacts[argument]

    def adapter(self, name: str | None) -> Adapter:
        """The adapter of this name, or of the experiment. Raises ``UsageError``."""
        from crucible.adapters import get_adapter

        wanted = name or self._call.adapter
        if wanted is None:
            message = f"experiment {self._call.experiment} names no adapter: set adapter= in it, or CRUCIBLE_ADAPTER"
            raise UsageError(message)
        return get_adapter(wanted)

    def open_request(self, options: Mapping[str, Any]) -> OpenRequest:
        """What an adapter may touch."""
        from crucible.adapters.protocol import OpenRequest

        call = self._call
        return OpenRequest(
            options=options,
            seed=call.seed,
            blobs=self.blobs,
            kept_folder=Path(call.kept),
            load_dataset=self._load,
            idempotency_key=call.claim_id,
            labels={"run": call.ref, "experiment": call.experiment, "stage": call.stage},
        )

    def split_of(self, item_id: str, declared_splits: frozenset[str]) -> str:
        """The split of an item of a dataset that was read, else the only split whose mean is declared.

        Raises ``UsageError`` when that leaves none or several.
        """
        found = {splits[item_id] for splits in self._splits() if item_id in splits} or declared_splits
        if len(found) != 1:
            why = f"it may be {' or '.join(sorted(found))}" if found else "no dataset of this stage has it"
            message = f"which split is item {item_id!r} of? {why}: call predict(…, split=…)"
            raise UsageError(message)
        return next(iter(found))

    def _splits(self) -> list[dict[str, str]]:
        """For each dataset that was read, the split of each item."""
        for name, dataset in self._datasets.items():
            if name not in self._split_of:
                self._split_of[name] = {
                    item_id: split for split, items in dataset.splits.items() for item_id in items.ids
                }
        return list(self._split_of.values())

    def _load(self, reference: str | Mapping[str, Any]) -> Dataset:
        """Load by the experiment's name for it, by its source, or by a whole reference."""
        from crucible import datasets

        root = Path(self._call.code_path).parent if self._call.code_path else None
        if isinstance(reference, str):
            return datasets.load(self._call.datasets.get(reference, reference), name=reference, root=root)
        return datasets.load(reference, root=root)

    def _fetched(self, argument: str, saved: Mapping[str, Any]) -> Artifact:
        folder = Path(self._call.scratch) / "inputs" / argument
        materialise(saved["files"], folder, self.blobs.copy_to)
        is_file = saved["metadata"].get("form") == "file"
        return Artifact(
            name=saved["name"],
            kind=saved["kind"],
            path=folder / saved["files"][0]["path"] if is_file else folder,
            digest=saved["digest"],
            files=saved["files"],
            metadata=saved["metadata"],
        )
