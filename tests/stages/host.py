"""Hosts stages in a test: an experiment's cell, stage by stage, with checkpoints and artifacts on disk."""

import dataclasses
from pathlib import Path

from crucible.blobs import FolderBlobs
from crucible.board import Board, open_page
from crucible.definition.grid import expand
from crucible.definition.load import load_experiment, resolve_stage
from crucible.run import Run
from crucible.run_files import files_digest, store
from crucible.stage_call import EarlierCheckpoint, StageCall

EXAMPLES = Path(__file__).parents[2] / "examples"


class KilledError(BaseException):
    """Stands for a kill: no code of the stage sees it."""


class Recorded:
    """Telemetry that is looked at."""

    def __init__(self, at_step):
        self.points = []
        self.predictions = {}
        self.simulated = set()
        self._at_step = at_step

    def log(self, values, step=None, time_us=None):
        self.points.append((step, dict(values)))
        self._at_step(step)

    def prediction(
        self,
        item_id,
        *,
        split="",
        prediction=None,
        score=None,
        label=None,
        output=None,
        is_simulated=False,
        time_us=None,
    ):
        self.predictions[item_id] = (split, prediction, score, label)
        self.simulated.add(is_simulated)

    def span(self, *args, **kwargs):
        pass

    def mark(self):
        return {}

    def close(self):
        pass


class Kept:
    """Services that keep what a stage saves."""

    def __init__(self, blobs, checkpoints=()):
        self._blobs = blobs
        self.checkpoints = list(checkpoints)
        self.artifacts = {}
        self.datasets = {}

    def earlier_checkpoints(self):
        return list(reversed(self.checkpoints))

    def resume_from(self, checkpoint):
        return {}

    def save_checkpoint(self, step, folder, mark):
        files = store(folder, self._blobs)
        self.checkpoints.append(EarlierCheckpoint(str(step), step, files_digest(files), files))
        return files_digest(files)

    def save_artifact(self, name, kind, source, metadata, *, is_given_away):
        files = store(source, self._blobs)
        digest = files_digest(files)
        self.artifacts[name] = {
            "name": name,
            "kind": kind,
            "digest": digest,
            "files": files,
            "metadata": dict(metadata),
        }
        return digest, files

    def use_dataset(self, name, digest, items, source):
        self.datasets[name] = digest


@dataclasses.dataclass
class Outcome:
    run: Run
    telemetry: Recorded
    services: Kept
    returned: object

    @property
    def last_checkpoint(self):
        return self.services.checkpoints[-1]

    def values(self, name):
        return [values[name] for _, values in self.telemetry.points if name in values]


class Host:
    """Runs stages of one experiment in one folder, which stands for a log."""

    def __init__(self, folder, source):
        self.folder = folder
        self.loaded = load_experiment(str(source))
        self.definition = self.loaded.definition
        self.artifacts = {}
        self._claims = 0

    def planned(self):
        return expand(
            self.definition, submission_id="01900000-0000-7000-8000-000000000000", submitted_at_us=1, number=1
        )

    def run(self, stage_name, *, kill_after=None, wish=None, wish_after=0, checkpoints=(), call=None, **options):
        """Run a stage of the first cell, its options changed by ``options``, up to a kill or a worker's wish."""
        stage, cell = self.definition.stage(stage_name), self.planned()[0]
        self._claims += 1
        scratch = self.folder / "scratch" / str(self._claims)
        params = {
            key.partition(".")[2]: value for key, value in cell.params.items() if key.startswith(f"{stage_name}.")
        }
        options = {**stage.options, **params, **options}
        function = resolve_stage(stage.type, self.loaded.code_path)
        declared = function.stage.metrics_for(options)
        made = StageCall(
            run_id=cell.run_id,
            ref=cell.ref,
            experiment=self.definition.name,
            label=cell.label,
            repeat=cell.repeat,
            params=cell.params,
            stage=stage_name,
            attempt=self._claims,
            claim_id=f"claim-{self._claims}",
            seed=cell.seed,
            stage_type=stage.type,
            command=None,
            options=options,
            inputs={argument: self.artifacts[source] for argument, source in stage.inputs.items()},
            metrics=dict(declared),
            datasets={name: reference.model_dump() for name, reference in self.definition.datasets.items()},
            adapter=self.definition.adapter,
            code_path=str(self.loaded.code_path),
            code_digest="",
            checkpoint_every_ms=0,
            steps_max=None,
            is_smoke=False,
            scratch=str(scratch),
            spool=str(self.folder / "spool"),
            blobs=str(self.folder / "blobs"),
            kept=str(self.folder / "kept"),
        )
        made = dataclasses.replace(made, **(call or {}))
        board = Board(open_page())

        def at_step(step):
            if step == kill_after:
                raise KilledError
            if wish is not None and step == wish_after:
                board.wish = wish

        at_step(0)
        telemetry, services = Recorded(at_step), Kept(FolderBlobs(self.folder / "blobs"), checkpoints)
        run = Run(made, telemetry, services, board=board)
        inputs = {argument: run.input(argument) for argument in made.inputs}
        outcome = Outcome(run, telemetry, services, None)
        self.last = outcome
        outcome.returned = function.function(run, **inputs, **function.convert_options(options))
        self.artifacts |= {f"{stage_name}.{name}": artifact for name, artifact in services.artifacts.items()}
        return outcome
