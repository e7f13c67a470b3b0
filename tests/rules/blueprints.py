"""Submissions for tests: a definition is a small JSON object that says how many runs, stages and permits there are."""

import dataclasses
import json

from crucible.errors import DefinitionError, Problem
from crucible.rules.blueprint import limit_name
from crucible.rules.budget import runs_limit
from crucible.scope import NO_INDEX, PHASE_LABELS


def definition(**fields):
    """``runs``, ``stages`` ({name: {inputs, retried, retries}}), ``max_concurrent``, ``budget``, ``breaker`` as JSON.

    ``before`` and ``after`` name those of the stages that are done once, before the grid and after it.
    With ``shares_keys`` stages of one name and the same inputs have one key, in all runs of all submissions.
    """
    return json.dumps({"runs": 1, "stages": {"fit": {}}, "max_concurrent": None, **fields}, sort_keys=True)


@dataclasses.dataclass
class PlainBlueprint:
    accepted: object
    plan: dict

    @property
    def runs(self):
        accepted = self.accepted
        return [
            {
                "run_id": f"{accepted.submission_id}-{index}",
                "submission_id": accepted.submission_id,
                "namespace": "",
                "experiment": accepted.experiment,
                "ref": f"{accepted.experiment}#{accepted.number}/{index}.1",
                "label": str(index),
                "cell_id": str(index),
                "cell_index": index,
                "grid_index": index,
                "repeat": 1,
                "params_json": json.dumps({"x": "x" * self.plan.get("params_bytes", 0)}),
                "seed": 0,
                **self.shared(self.of_runs),
                "scope": "run",
            }
            for index in range(self.plan["runs"])
        ]

    @property
    def of_runs(self):
        once = {*self.plan.get("before", ()), *self.plan.get("after", ())}
        return [name for name in self.plan["stages"] if name not in once]

    def shared(self, stages):
        return {
            "stages": stages,
            "retries_max": [self.plan["stages"][stage].get("retries", 3) for stage in stages],
            "limits": sorted(self.capacities),
            "output_dir": "out",
            "is_smoke": False,
        }

    def experiment_run(self, phase, number):
        stages = list(self.plan.get(phase, ()))
        if not stages:
            return None
        accepted, label = self.accepted, PHASE_LABELS[phase]
        return {
            "run_id": f"{accepted.submission_id}-{phase}-{number}",
            "submission_id": accepted.submission_id,
            "namespace": "",
            "experiment": accepted.experiment,
            "ref": f"{accepted.experiment}#{accepted.number}/{label}.{number}",
            "label": label,
            "cell_id": label,
            "cell_index": NO_INDEX,
            "grid_index": NO_INDEX if phase == "before" else self.plan["runs"],
            "repeat": number,
            "params_json": "{}",
            "seed": 0,
            **self.shared(stages),
            "limits": sorted(self.capacities.keys() - {runs_limit(accepted.submission_id)}),
            "scope": "experiment",
        }

    def analysis(self, asked):
        """A further analysis: one stage, and no limits."""
        stages = {"analysis": {"type": "analysis", "options": asked.options_json}}
        return PlainBlueprint(
            self.accepted, {"runs": self.plan["runs"], "stages": stages, "again": ["analysis"], "max_concurrent": None}
        )

    @property
    def capacities(self):
        capacities = {
            limit_name(self.accepted.experiment): self.plan["max_concurrent"],
            runs_limit(self.accepted.submission_id): (self.plan.get("budget") or {}).get("runs"),
        }
        return {name: capacity for name, capacity in capacities.items() if capacity is not None}

    def retried(self, stage):
        return frozenset(self.plan["stages"][stage].get("retried", ["transient"]))

    def inputs(self, stage):
        return self.plan["stages"][stage].get("inputs", {})

    def stage_key(self, run, stage, inputs):
        given = ",".join(f"{name}={artifact.digest}" for name, artifact in sorted(inputs.items()))
        return f"{stage}({given})" if self.plan.get("shares_keys") else f"{run.run_id}/{stage}"

    def request(self, run, stage, attempt, inputs):
        if self.plan["stages"][stage].get("is_broken"):
            raise DefinitionError([Problem(f"stages.{stage}", "can't be asked for")])
        return {
            "run_id": run.run_id,
            "stage": stage,
            "attempt": attempt,
            "stage_index": list(run.stages).index(stage),
            "stage_type": self.plan["stages"][stage].get("type", "test:stage"),
            "stage_key": self.stage_key(run, stage, inputs),
            "command": None,
            "options_json": json.dumps({"x": "x" * self.plan["stages"][stage].get("options_bytes", 0)}),
            "inputs_json": json.dumps({name: artifact.digest for name, artifact in inputs.items()}),
            "metrics_json": "{}",
            "datasets_json": "{}",
            "seed": 0,
            "namespace": "",
            "queue": "default",
            "adapter": None,
            "resources_json": "{}",
            "blob_store": None,
            "code_path": None,
            "code_digest": "code",
            "code_blob": None,
            "blobs": [],
            "timeout_ms": None,
            "stall_timeout_ms": None,
            "checkpoint_every_ms": 30_000,
            "steps_max": None,
            "is_smoke": False,
            "hooks_json": "{}",
        }


class PlainBlueprints:
    """Reads what `definition` wrote; a definition with ``problems`` is refused with them."""

    def count(self, command):
        plan = json.loads(command.definition_json)
        if problems := plan.get("problems"):
            raise DefinitionError([Problem(path, "wrong") for path in problems])
        return plan["runs"]

    def of(self, accepted):
        return PlainBlueprint(accepted, json.loads(accepted.definition_json))

    def analysis_problems(self, accepted, options_json):
        return json.loads(options_json).get("problems", [])
