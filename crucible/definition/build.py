"""From a document to a checked definition: every check runs, and every problem is noted, before any is raised."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from crucible.definition.analysis_checks import check_analysis
from crucible.definition.dataset_checks import check_datasets, in_full
from crucible.definition.hook_checks import check_hooks, hooks_in_full
from crucible.definition.limit_checks import check_limits, limits_in_full
from crucible.definition.model import Definition, ExperimentFields
from crucible.definition.parameter_checks import Grid, check_parameters
from crucible.definition.plain import plain_value
from crucible.definition.portability import warn_about_places
from crucible.definition.problems import Loc, Problems
from crucible.definition.reference import NAME_PATTERN, NAME_WORDS
from crucible.definition.registry import adapters, is_adapter
from crucible.definition.sets import Setting
from crucible.definition.stage import Stage
from crucible.definition.stage_checks import CheckedStage, check_stages
from crucible.definition.structure import check_structure
from crucible.definition.target_checks import check_targets

_OTHER_KEYS: Final = ("parameters", "stages")

FindStage = Callable[[str], Stage]
"""From a stage type to what runs; raises ``LookupError`` with the reason in one line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """What came of a document."""

    definition: Definition | None
    """None if there is any problem."""
    problems: Problems


def build(
    document: Any,
    find_stage: FindStage,
    *,
    lines: Mapping[Loc, int] | None = None,
    settings: Sequence[Setting] = (),
    adapter_default: str | None = None,
    problems: Problems | None = None,
) -> Built:
    """Check a document with ``settings`` (from ``--set``) applied, and bring it into its normal form."""
    problems = problems or Problems(lines)
    if not isinstance(document, Mapping):
        problems.add((), "must be a mapping with name and stages", value=document)
        return Built(None, problems)
    plain = plain_value(document, (), problems)
    fields = _check_fields(plain, adapter_default, problems)
    stages = check_stages(plain.get("stages"), find_stage, problems)
    grid = check_parameters(plain.get("parameters"), settings, stages, fields.repeat, problems)
    check_targets(fields, stages, problems)
    check_limits(fields, stages, problems)
    check_hooks(fields, find_stage, stages, problems)
    check_datasets(fields.datasets, problems)
    definition = None
    if not problems.errors:
        definition = _normal_form(fields, stages, grid)
        check_analysis(definition, problems)
        warn_about_places(definition, problems)
    return Built(None if problems.errors else definition, problems)


def _check_fields(plain: dict[str, Any], adapter_default: str | None, problems: Problems) -> ExperimentFields:
    own = {key: value for key, value in plain.items() if key not in _OTHER_KEYS}
    if adapter_default is not None and own.get("adapter") is None:
        own["adapter"] = adapter_default
    own["datasets"] = in_full(own.get("datasets", {}))
    own |= limits_in_full(own)
    own |= hooks_in_full(own)
    fields = check_structure(ExperimentFields, own, (), problems, stand_ins={"name": "unnamed"}, names=_OTHER_KEYS)
    if fields is None:
        fields = ExperimentFields(name="unnamed")
    if not NAME_PATTERN.fullmatch(fields.name):
        problems.add(("name",), "can't be used in references", value=fields.name, expected=NAME_WORDS)
    if not fields.output_dir.strip():
        problems.add(("output_dir",), "must not be empty", value=fields.output_dir)
    if "\0" in fields.output_dir:
        problems.add(("output_dir",), "is no path", value=fields.output_dir)
    if fields.adapter is not None and not is_adapter(fields.adapter):
        where = "adapter" if plain.get("adapter") is not None else "--adapter or CRUCIBLE_ADAPTER"
        problems.add((where,), "is no adapter that is installed", value=fields.adapter, names=adapters())
    return fields


def _normal_form(fields: ExperimentFields, stages: Sequence[CheckedStage], grid: Grid) -> Definition:
    return Definition(
        **dict(fields),
        stages=[stage.normal_form() for stage in stages],
        parameters=grid.parameters,
        cells=grid.cells,
    )
