"""The normal form of an experiment: what stands on the log, whatever it was written in.

A `Definition` is complete: names, types and options of every stage are filled in, so that a Python file and a YAML
file of the same experiment have one canonical text and one digest.
"""

from __future__ import annotations

import functools
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from crucible.canonical import canonical_json, digest_bytes, digest_of, parse_json
from crucible.scope import EXPERIMENT_SCOPE, RUN_SCOPE, ExperimentPhase, Scope
from crucible.stage_call import HOOK_TYPE

OUTPUT_DIR_DEFAULT: Final = "artifacts/crucible"
CHECKPOINT_EVERY_DEFAULT_S: Final = 30.0
RETRIES_DEFAULT: Final = 3
COST_METRIC_DEFAULT: Final = "cost/usd"
HOOK_TIMEOUT_DEFAULT_S: Final = 60.0
BREAKER_WINDOW_DEFAULT: Final = 50
BREAKER_RATE_DEFAULT: Final = 0.2
BREAKER_RUNS_DEFAULT: Final = 10
"""Fewer ended runs say nothing about a rate."""

ErrorClass = Literal["transient", "permanent", "timeout", "stall", "exit", "invalid", "hook"]
HookName = Literal[
    "before_experiment", "after_experiment", "before_run", "after_run", "before_stage", "after_stage", "on_error"
]
MetricKind = Literal["reproducible", "timing", "environment"]

EXPERIMENT_HOOKS: Final = ("before_experiment", "after_experiment")
"""Hooks that are stages of their own, done once."""

_RETRIED_DEFAULT: Final[list[ErrorClass]] = ["transient"]


class Model(BaseModel):
    """What all parts of a definition share: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class MetricDeclaration(Model):
    """What a stage says about a number before it measures it."""

    unit: str | None = None
    """Unit, for example ``ratio``, ``nat`` or ``ms``."""
    better: Literal["higher", "lower"] | None = None
    """Direction; needed to select by it."""
    range: list[float] | None = Field(default=None, min_length=2, max_length=2)
    """Lowest and highest value that it can take."""
    kind: MetricKind = "reproducible"
    """Whether two executions of the same recipe give the same value."""
    mean_of: str | None = None
    """Split over whose predictions' scores the mean is taken; None: the stage measures it itself."""


class Target(Model):
    """Bounds that a metric's mean has to keep: at least one of them."""

    at_least: float | None = None
    """Lowest value that is good enough."""
    at_most: float | None = None
    """Highest value that is good enough."""
    unit: str | None = None
    """Unit of the bounds; if given, the metric must be declared with the same."""


class DatasetReference(Model):
    """Which data a stage means by a name."""

    source: str = Field(min_length=1)
    """A registered dataset's name, a path or an address."""
    digest: str | None = Field(default=None, pattern=r"^(sha256:)?[0-9a-f]{64}$")
    """SHA-256 that pins the content; None: whatever is there is used, and recorded."""
    version: str | None = None
    """Version of the source."""
    split: str | None = None
    """The only split that is meant; None: all."""
    limit: int | None = Field(default=None, ge=1)
    """Items at most in each split; None: all."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the loader."""


class RetryPolicy(Model):
    """Which failures of a stage are worth another attempt, and how many attempts."""

    max: int = Field(default=RETRIES_DEFAULT, ge=0, le=100)
    """Attempts after the first one, at most."""
    on: list[ErrorClass] = Field(default_factory=_RETRIED_DEFAULT.copy)
    """Classes of failures that are retried."""


class HookDefinition(Model):
    """What is called at a moment of an experiment, a run or a stage: a function or a command."""

    function: str | None = None
    """``module:function``; it is called with the run, and ``on_error`` with the error too."""
    command: str | None = None
    """Command line, with placeholders in braces."""
    on_failure: Literal["fail", "continue"] = "fail"
    """Whether the stage fails when the hook does."""
    timeout_s: float = Field(default=HOOK_TIMEOUT_DEFAULT_S, gt=0)
    """Longest duration, seconds."""


class CostBudget(Model):
    """How much all stages together may cost, by a metric that they declare and return."""

    metric: str = Field(default=COST_METRIC_DEFAULT, min_length=1)
    """The metric."""
    max: float = Field(gt=0)
    """Highest sum, in the metric's unit."""


class BudgetDefinition(Model):
    """What a submission may use; when it is spent, the submission is stopped."""

    time_s: float | None = Field(default=None, gt=0)
    """Seconds of work of all claims together; None: no limit."""
    cost: CostBudget | None = None
    """Sum of a metric over all finished attempts; None: no limit."""
    runs: int | None = Field(default=None, ge=1)
    """How many runs may start; None: no limit."""


class BreakerDefinition(Model):
    """When so many runs fail that the others are not worth starting."""

    window: int = Field(default=BREAKER_WINDOW_DEFAULT, ge=1, le=10_000)
    """How many of the runs that ended last are looked at."""
    failure_rate: float = Field(default=BREAKER_RATE_DEFAULT, ge=0, lt=1)
    """Share of them that may fail; above it the submission is stopped."""
    min_runs: int = Field(default=BREAKER_RUNS_DEFAULT, ge=1)
    """Before so many have ended nothing is judged."""


class StageDefinition(Model):
    """One step of every run of the experiment, or of the experiment as a whole."""

    name: str
    """Name within the experiment."""
    scope: Scope = RUN_SCOPE
    """``run``: a step of each run of the grid; ``experiment``: done once, when every run of the grid has ended."""
    type: str = Field(min_length=1)
    """``train``, ``eval``, another registered name, ``module:function`` or ``command``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options by name; in the normal form with every default filled in."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """For each artifact argument, ``stage.artifact``."""
    artifacts: list[str] | None = None
    """Names of the artifacts that the stage makes; None: not declared."""
    metrics: dict[str, MetricDeclaration] = Field(default_factory=dict)
    """Metrics that the stage declares."""
    command: str | None = None
    """Command line of an untouched script, with ``{option}`` placeholders; only for the type ``command``."""
    queue: str = Field(default="default", min_length=1)
    """Queue whose workers may run it."""
    resources: dict[str, float] = Field(default_factory=dict)
    """What a worker must have, for example ``{"gpu": 1}``."""
    timeout_s: float | None = Field(default=None, gt=0)
    """Longest duration of an attempt, seconds."""
    stall_timeout_s: float | None = Field(default=None, gt=0)
    """Longest time without progress, seconds."""
    checkpoint_every_s: float = Field(default=CHECKPOINT_EVERY_DEFAULT_S, ge=0)
    """How often a checkpoint is due, seconds; 0: at every step."""
    retry: RetryPolicy = Field(default_factory=RetryPolicy)
    """Which failures are retried."""
    enabled: bool = True
    """A stage that is not enabled is left out of the runs."""


class ExperimentFields(Model):
    """The fields of an experiment beside its stages and its grid."""

    name: str
    """Name; part of every reference to its runs."""
    description: str = ""
    """What it is for."""
    tags: list[str] = Field(default_factory=list)
    """Words to find it by."""
    owner: str | None = None
    """Who answers for it."""
    version: str | None = None
    """Version of the experiment, in its author's own counting."""
    namespace: str = Field(default="default", min_length=1)
    """Team that it belongs to."""
    seed: int = Field(default=0, ge=0, le=2**53 - 1)
    """Seed from which each repeat's seed is derived."""
    repeat: int = Field(default=1, ge=1)
    """How often each cell is run, with a seed of its own each time."""
    select: str | None = None
    """Metric by which the best cell is chosen."""
    adapter: str | None = Field(default=None, min_length=1)
    """Adapter that trains and predicts."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Runs at once, over all workers; None: no limit of its own."""
    quality_targets: dict[str, Target] = Field(default_factory=dict)
    """Bounds by metric."""
    datasets: dict[str, DatasetReference] = Field(default_factory=dict)
    """Dataset references by the name that stages use."""
    output_dir: str = Field(default=OUTPUT_DIR_DEFAULT, min_length=1)
    """Folder for run folders, relative to the folder of the submitting command."""
    margin: float | None = Field(default=None, ge=0)
    """Difference in the selected metric that does not matter, for "the smallest value that is enough"."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Whatever else is to be kept with it."""
    hooks: dict[HookName, HookDefinition] = Field(default_factory=dict)
    """What is called before and after the experiment, a run and a stage, and on an error."""
    budget: BudgetDefinition | None = None
    """What a submission may use; None: no limit."""
    breaker: BreakerDefinition | None = None
    """When failures stop a submission; None: never."""


class Definition(ExperimentFields):
    """An experiment, complete and checked."""

    parameters: dict[str, list[Any]] | None = None
    """For each ``stage.option``, the values of the grid."""
    cells: list[dict[str, Any]] | None = None
    """Explicit cells in place of a grid."""
    stages: list[StageDefinition] = Field(min_length=1)
    """The stages of each run, in order."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a definition from its canonical JSON, as it stands on the log."""
        return cls.model_validate(parse_json(text))

    @property
    def enabled_stages(self) -> tuple[StageDefinition, ...]:
        """The stages that the runs of the grid have, in order."""
        return tuple(stage for stage in self.stages if stage.enabled and stage.scope == RUN_SCOPE)

    @property
    def experiment_stages(self) -> tuple[StageDefinition, ...]:
        """The stages that are done once, when every run of the grid has ended, in order."""
        return tuple(stage for stage in self.stages if stage.enabled and stage.scope == EXPERIMENT_SCOPE)

    def once(self, phase: ExperimentPhase) -> tuple[StageDefinition, ...]:
        """What is done once in a phase, in order: stages of scope experiment, and the hook of the phase."""
        stages = () if phase == "before" else self.experiment_stages
        hook: HookName = "before_experiment" if phase == "before" else "after_experiment"
        return (*stages, self.stage(hook)) if hook in self.hooks else stages

    def stage(self, name: str) -> StageDefinition:
        """Return the stage of this name; ``KeyError`` if there is none.

        A hook before or after the experiment is a stage of its own, called like the hook.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        if name in EXPERIMENT_HOOKS and name in self.hooks:
            return StageDefinition(name=name, type=HOOK_TYPE, scope=EXPERIMENT_SCOPE)
        raise KeyError(name)

    def canonical(self) -> dict[str, Any]:
        """Return the definition as plain JSON values."""
        return self.model_dump(mode="json")

    def canonical_json(self) -> str:
        """Return the definition as RFC 8785 JSON: what ``definition_json`` of a record holds."""
        return self._canonical_json

    @functools.cached_property
    def _canonical_json(self) -> str:
        return canonical_json(self.canonical())

    @property
    def definition_digest(self) -> str:
        """SHA-256 of the canonical JSON: changes with everything."""
        return digest_bytes(self._canonical_json.encode())

    def recipe_digest(self, code_digest: str) -> str:
        """SHA-256 of what decides results: code, stages, adapter, dataset references, seed, hooks before run and stage.

        Description, tags, targets, grid, repeats, timeouts, queues and stages of scope ``experiment`` are not in it:
        they decide what is run and how it is judged, not what a cell gives.
        """
        return digest_of(
            {
                **preparing_hooks(self, is_first=True),
                "adapter": self.adapter,
                "code": code_digest,
                "datasets": {name: reference.model_dump(mode="json") for name, reference in self.datasets.items()},
                "seed": self.seed,
                "stages": [stage_recipe(stage) for stage in self.enabled_stages],
            }
        )


def preparing_hooks(definition: Definition, *, is_first: bool) -> dict[str, Any]:
    """Return what runs before a stage in its process, as part of a recipe; nothing if there is none.

    It may set whatever the stage then reads: random state, a library's switches, files. What comes after a stage finds
    the result settled, and is no part of it. ``is_first``: the stage is the first one of its run.
    """
    names: tuple[HookName, ...] = ("before_run", "before_stage") if is_first else ("before_stage",)
    found = {name: definition.hooks[name] for name in names if name in definition.hooks}
    return {"hooks": {name: [hook.function, hook.command] for name, hook in found.items()}} if found else {}


def stage_recipe(stage: StageDefinition) -> dict[str, Any]:
    """Return the part of a stage that decides its result."""
    return {
        "command": stage.command,
        "inputs": stage.inputs,
        "mean_of": {name: metric.mean_of for name, metric in stage.metrics.items() if metric.mean_of is not None},
        "name": stage.name,
        "options": stage.options,
        "type": stage.type,
    }
