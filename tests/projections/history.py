"""Histories of a small experiment for tests: records as managers, workers and drains would append them."""

import json
import zlib

from crucible.journal import Journal
from crucible.log.memory import MemoryLog
from crucible.records import LogCreated
from crucible.testing.ports import START_US, SeededIds
from tests.rules.scene import Maker


class SteppingClock:
    """Wall time that moves a millisecond with each look; monotonic time that the test moves."""

    def __init__(self):
        self.us = START_US
        self.seconds = 0.0

    def now_us(self):
        self.us += 1000
        return self.us

    def monotonic(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


def memory_journal(partitions=1, seed=0):
    log = MemoryLog({"commands": partitions, "events": partitions, "telemetry": partitions}, seed)
    journal = Journal(log, clock=SteppingClock(), ids=SeededIds(seed), actor="test")
    ids = (f"log-{seed}-{number}" for number in range(1000))
    log_id = next(name for name in ids if zlib.crc32(name.encode()) % partitions == 0)
    journal.append(journal.make(LogCreated, log_id=log_id, crucible_version="1"))
    return journal


def definition(**fields):
    return {
        "name": "digits",
        "description": "small",
        "tags": ["demo"],
        "owner": "ada",
        "version": "1",
        "seed": 7,
        "repeat": 2,
        "select": "val/accuracy",
        "margin": 0.05,
        "stages": [
            {
                "name": "fit",
                "metrics": {
                    "train/loss": {"unit": "nat", "better": "lower", "range": None, "kind": "reproducible"},
                    "val/accuracy": {"unit": "ratio", "better": "higher", "range": [0, 1], "kind": "reproducible"},
                },
            },
            {
                "name": "score",
                "metrics": {"test/accuracy": {"unit": "ratio", "better": "higher", "range": [0, 1], "mean_of": "test"}},
            },
        ],
        "quality_targets": {"test/accuracy": {"at_least": 0.9, "at_most": None, "unit": None}},
        **fields,
    }


class History:
    """Appends records of one submission, run by run."""

    def __init__(self, journal=None, *, submission="s1", experiment="digits", number=1, make=None):
        self.journal = journal or memory_journal()
        self.clock = self.journal.clock
        self.make = make or Maker(f"{submission}-")
        self.submission = submission
        self.experiment = experiment
        self.number = number
        self.next_sequence = {}

    def add(self, name, /, **fields):
        record = self.make(name, **{"occurred_at_us": self.clock.now_us(), **fields})
        self.journal.append(record)
        return record

    def submit(self, run_count=1, environment=None, **fields):
        text = json.dumps(definition(**fields))
        given = {
            "submission_id": self.submission,
            "experiment": self.experiment,
            "definition_json": text,
            "environment_json": json.dumps(environment or {}),
            "output_dir": "out",
        }
        command = self.add("SubmitExperiment", **given)
        self.add(
            "CommandAccepted",
            command_id=command.event_id,
            command_type="SubmitExperiment",
            subject_id=self.experiment,
        )
        return self.add(
            "SubmissionAccepted", **given, number=self.number, run_count=run_count, causation_id=command.event_id
        )

    def create(self, run="r1", *, cell=0, repeat=1, params=None, stages=("fit", "score"), label=None, **fields):
        params = {"fit.learning_rate": 0.01, "fit.kind": "adam"} if params is None else params
        label = label or f"lr{cell}"
        return self.add(
            "RunCreated",
            run_id=run,
            submission_id=self.submission,
            experiment=self.experiment,
            ref=f"{self.experiment}#{self.number}/{label}.{repeat}",
            label=label,
            cell_id=f"cell-{cell}",
            cell_index=cell,
            grid_index=cell * 2 + repeat - 1,
            repeat=repeat,
            params_json=json.dumps(params),
            stages=list(stages),
            retries_max=[3] * len(stages),
            output_dir="out",
            **fields,
        )

    def start(self, run="r1", generation=1):
        return self.add("RunStarted", run_id=run, generation=generation)

    def request(self, run="r1", stage="fit", attempt=1, generation=1):
        stages = {part["name"]: part["metrics"] for part in definition()["stages"]}
        return self.add(
            "StageRequested",
            run_id=run,
            stage=stage,
            attempt=attempt,
            generation=generation,
            stage_type=f"mine:{stage}",
            metrics_json=json.dumps(stages.get(stage, {})),
            options_json="{}",
        )

    def claim(self, run="r1", claim="c1", stage="fit", attempt=1):
        where = self.where(run, claim, stage, attempt)
        return self.add("StageClaimed", **where, worker_id="w1", host="here", lease_ms=15_000)

    def points(
        self,
        run="r1",
        claim="c1",
        values=(1.0,),
        *,
        name="train/loss",
        first_step=1,
        stage="fit",
        attempt=1,
        first=None,
    ):
        """A batch of points of one metric, step by step."""
        spool = f"{claim}.m"
        first = self.next_sequence.get(spool, 0) if first is None else first
        self.next_sequence[spool] = max(first + len(values), self.next_sequence.get(spool, 0))
        count = len(values)
        return self.add(
            "MetricBatch",
            **self.where(run, claim, stage, attempt),
            spool_id=spool,
            first_sequence=first,
            names=[name],
            name_index=[0] * count,
            step=list(range(first_step, first_step + count)),
            time_us=[START_US + first + i for i in range(count)],
            value=list(values),
        )

    def predictions(self, run="r1", claim="c2", scores=(1.0, 0.0), *, stage="score", split="test", first=None):
        spool = f"{claim}.r"
        first = self.next_sequence.get(spool, 0) if first is None else first
        self.next_sequence[spool] = max(first + len(scores), self.next_sequence.get(spool, 0))
        count = len(scores)
        return self.add(
            "PredictionBatch",
            **self.where(run, claim, stage, 1),
            spool_id=spool,
            first_sequence=first,
            split=[split] * count,
            item_id=[f"i{first + i}" for i in range(count)],
            score=list(scores),
            label=["7"] * count,
            prediction=["7"] * count,
            time_us=[START_US] * count,
        )

    def end_marks(self, claim):
        return {spool: end for spool, end in self.next_sequence.items() if spool.startswith(f"{claim}.")}

    def checkpoint(self, run="r1", claim="c1", step=1, stage="fit", **fields):
        given = {"digest": f"d{step}", "telemetry_end": self.end_marks(claim)}
        return self.add("CheckpointSaved", **self.where(run, claim, stage, 1), step=step, **{**given, **fields})

    def expire(self, last, run="r1", claim="c1", stage="fit"):
        where = self.where(run, claim, stage, 1)
        return self.add("StageLeaseExpired", **where, last_event_id=last.event_id, reason="silent")

    def resume(self, checkpoint, run="r1", claim="c2", stage="fit"):
        where = self.where(run, claim, stage, 1)
        return self.add("StageResumed", **where, checkpoint_event_id=checkpoint.event_id, step=checkpoint.step)

    def complete(self, run="r1", claim="c1", stage="fit", metrics=None, attempt=1, *, definition=None, **fields):
        results = [
            {
                "name": name,
                "value": value,
                "unit": "ratio",
                "items": None,
                "origin": "measured",
                "kind": "reproducible",
                "definition": definition,
            }
            for name, value in (metrics or {}).items()
        ]
        given = {"metrics": results, "duration_ms": 12.5, "telemetry_end": self.end_marks(claim)}
        return self.add("StageCompleted", **self.where(run, claim, stage, attempt), **{**given, **fields})

    def finish(self, run="r1", generation=1):
        return self.add("RunCompleted", run_id=run, generation=generation)

    def close(self, completed=1, failed=0, generation=1):
        return self.add(
            "SubmissionClosed",
            submission_id=self.submission,
            experiment=self.experiment,
            generation=generation,
            completed=completed,
            failed=failed,
        )

    def whole_run(
        self, run="r1", *, cell=0, repeat=1, losses=(3.0, 2.0, 1.0), accuracy=0.8, scores=(1.0, 0.0, 1.0), **fields
    ):
        """A run of two stages from its creation to its end."""
        fit, score = f"{run}-c1", f"{run}-c2"
        self.create(run, cell=cell, repeat=repeat, **fields)
        self.start(run)
        self.request(run)
        self.claim(run, fit)
        self.points(run, fit, losses)
        self.checkpoint(run, fit, len(losses))
        self.complete(run, fit, metrics={"val/accuracy": accuracy})
        self.request(run, "score")
        self.claim(run, score, "score")
        self.predictions(run, score, scores)
        mean = sum(scores) / len(scores)
        self.complete(run, score, "score", metrics={"test/accuracy": mean})
        self.finish(run)

    def takeover(self, run="r1"):
        """A run whose first claim dies after step 5, one step beyond its checkpoint; the second goes on from step 4."""
        self.create(run, stages=("fit",))
        self.start(run)
        self.request(run)
        self.claim(run, "c1")
        self.points(run, "c1", [10.0, 9.0, 8.0, 7.0])
        saved = self.checkpoint(run, "c1", 4)
        self.points(run, "c1", [-99.0], first_step=5)
        self.expire(saved, run)
        self.claim(run, "c2")
        self.resume(saved, run)
        self.points(run, "c2", [6.0, 5.0], first_step=5)
        self.complete(run, "c2", metrics={"val/accuracy": 0.5})
        self.finish(run)

    def where(self, run, claim, stage="fit", attempt=1):
        return {"run_id": run, "stage": stage, "attempt": attempt, "claim_id": claim}
