"""Adapters by name: built-in ones and those of installed packages.

A package adds its own under the entry point group ``crucible.adapters``: a name, and a callable without arguments that
returns an `Adapter`.
"""

from __future__ import annotations

import difflib
from typing import Any, cast

from crucible.adapters.protocol import Adapter
from crucible.definition.registry import adapters, load_registered
from crucible.errors import AdapterError, CrucibleError, UsageError


def adapter_names() -> list[str]:
    """All names, sorted; imports none of the adapters."""
    return sorted(adapters())


def get_adapter(name: str) -> Adapter:
    """Return the adapter of this name. Raises UsageError if there is none, AdapterError if it can't be used."""
    known = adapters()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        message = f"there is no adapter {name!r}{hint} Known are {', '.join(sorted(known))}"
        raise UsageError(message)
    try:
        return cast("Adapter", load_registered(known[name])())
    except CrucibleError:
        raise
    except Exception as error:  # a foreign package may raise anything while it is imported
        message = f"adapter {name!r} ({known[name]}) can't be used: {type(error).__name__}: {error}"
        raise AdapterError(message) from error


def describe_adapters() -> list[dict[str, Any]]:
    """Return name, summary, ``simulated``, capabilities and the JSON Schema of the options of each adapter.

    One that can't be imported has its ``problem`` in place of the rest.
    """
    return [_described(name) for name in adapter_names()]


def _described(name: str) -> dict[str, Any]:
    try:
        adapter = get_adapter(name)
    except AdapterError as error:
        return {"name": name, "problem": str(error)}
    capabilities = adapter.capabilities
    return {
        "name": name,
        "summary": adapter.summary,
        "simulated": adapter.simulated,
        "capabilities": {field: getattr(capabilities, field) for field in capabilities.__dataclass_fields__},
        "options": adapter.options.model_json_schema(),
    }
