"""``crucible list``: stages, adapters and datasets, with the schema of their options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from crucible.cli.exits import FINE
from crucible.cli.text import columns, say
from crucible.errors import CrucibleError, UsageError

KINDS = ("stages", "adapters", "datasets")


def list_known(what: str, form: str) -> int:
    """Print everything of one kind."""
    if what not in KINDS or form not in {"table", "json"}:
        message = f"list {what} --format {form}: expected one of {', '.join(KINDS)}, and table or json"
        raise UsageError(message)
    found = {"stages": _stages, "adapters": _adapters, "datasets": _datasets}[what]()
    if form == "json":
        say(json.dumps(found, indent=2, default=str))
        return FINE
    for each in found:
        note = " (SIMULATED)" if each.get("simulated") else ""
        say(f"{each['name']}{note}: {each.get('problem') or each.get('summary', '')}")
        rows = _option_rows(each.get("options", {}))
        if rows:
            say("\n".join(f"  {line}" for line in columns(["option", "type", "default", ""], rows).splitlines()))
        for name, metric in each.get("metrics", {}).items():
            say(f"  gives {name} ({metric.get('unit') or 'no unit'}, {metric.get('better') or 'no direction'})")
    return FINE


def _stages() -> list[dict[str, Any]]:
    from crucible.definition.load import resolve_stage
    from crucible.definition.registry import stage_types

    found: list[dict[str, Any]] = []
    for name in sorted(stage_types()):
        try:
            stage = resolve_stage(name, None)
        except (CrucibleError, ImportError, LookupError) as error:
            found.append({"name": name, "problem": str(error)})
            continue
        defaults = {key: each.default for key, each in stage.signature.options.items() if not each.is_required}
        metrics = dict(stage.stage.metrics_for(defaults))
        summary = (stage.function.__doc__ or "").strip().partition("\n")[0]
        options = stage.signature.json_schema()
        found.append({"name": name, "summary": summary, "options": options, "metrics": metrics})
    return found


def _adapters() -> list[dict[str, Any]]:
    from crucible.adapters.registry import describe_adapters

    return describe_adapters()


def _datasets() -> list[dict[str, Any]]:
    from crucible.datasets.registry import describe

    return describe()


def _option_rows(schema: Mapping[str, Any]) -> list[list[object]]:
    required = set(schema.get("required", []))
    return [
        [name, _type(option), "required" if name in required else json.dumps(option.get("default")), _about(option)]
        for name, option in schema.get("properties", {}).items()
    ]


def _type(option: Mapping[str, Any]) -> str:
    if "enum" in option:
        return " | ".join(map(str, option["enum"]))
    if "anyOf" in option:
        return " | ".join(_type(each) for each in option["anyOf"])
    return str(option.get("const", option.get("type", "any")))


def _about(option: Mapping[str, Any]) -> str:
    return str(option.get("description", "")).replace("\n", " ")
