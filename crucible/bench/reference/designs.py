"""Designs of the reference file: the kind ``power``, which asks for a power, a size, or an effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from crucible.bench import power as t_power
from crucible.bench import proportion_designs as proportions
from crucible.bench.designs import Power

Options = Mapping[str, Any]
T_INDEPENDENT: Final = frozenset({"t_ind", "t_2ind", "t_independent", "t_two_sample", "two_sample"})
T_ONCE: Final = frozenset({"t_paired", "paired", "t_1samp", "t_one_sample", "one_sample"})
ANOVA: Final = frozenset({"anova", "anova_oneway"})
SIZES: Final = frozenset({"n", "n1", "n_a", "n_per_group", "nobs1"})


def power(_: Options, options: Options) -> dict[str, Any]:
    """A design, from its options: ``test``, and all but one of effect, size and power; ``solve`` names that one."""
    given = options.get("test", "t_ind")
    if given in T_INDEPENDENT:
        found = _t_independent(options)
    elif given in T_ONCE:
        found = _t_once(options)
    elif given in ANOVA:
        found = _anova(options)
    else:
        found = _proportions(options)
    n = found.n_fractional if found.n_fractional is not None else (found.n[0] if found.n else None)
    whole = found.n[0] if found.n else None
    return {
        "status": found.status,
        "reason": found.reason,
        "power": found.power,
        "n": n,
        "n1": n,
        "n_per_group": n,
        "n_ceil": whole,
        "n_total": sum(found.n),
        "effect_size": found.effect,
        "d": found.effect,
        "f": found.effect,
        **found.details,
    }


def _wanted(options: Options) -> str:
    solve = options.get("solve")
    if solve is None:
        has_size = any(name in options for name in SIZES)
        return "power" if has_size and "power" not in options else "effect" if has_size else "n"
    return "power" if solve == "power" else "n" if solve in SIZES or solve == "nobs" else "effect"


def _first(options: Options, *names: str) -> Any:
    return next((options[name] for name in names if name in options), None)


SIDES: Final[Mapping[str, str]] = {
    "larger": "greater",
    "smaller": "less",
    "one-sided": "greater",
    "one.sided": "greater",
}
"""Names of alternatives elsewhere, and ours."""


def _taken(options: Options, *names: str) -> dict[str, Any]:
    taken = {name: options[name] for name in names if name in options}
    if "alternative" in taken:
        side = str(taken["alternative"]).replace("two.sided", "two-sided")
        taken["alternative"] = SIDES.get(side, side)
    return taken


def _sizes(options: Options) -> tuple[float, float | None]:
    n, n_b = _first(options, "n", "n1", "n_a", "n_per_group", "nobs1"), _first(options, "n2", "n_b")
    return n, options["ratio"] * n if n_b is None and "ratio" in options else n_b


def _t_independent(options: Options) -> Power:
    effect, shared = _first(options, "effect_size", "d", "effect"), _taken(options, "alpha", "alternative")
    wanted: dict[str, Callable[[], Power]] = {
        "power": lambda: t_power.power_t_independent(effect, *_sizes(options), **shared),
        "n": lambda: t_power.sample_size_t_independent(effect, **(shared | _taken(options, "power", "ratio"))),
        "effect": lambda: t_power.minimal_effect_t_independent(*_sizes(options), **(shared | _taken(options, "power"))),
    }
    return wanted[_wanted(options)]()


def _t_once(options: Options) -> Power:
    effect, shared = _first(options, "effect_size", "d", "dz", "effect"), _taken(options, "alpha", "alternative")
    wanted: dict[str, Callable[[], Power]] = {
        "power": lambda: t_power.power_t_paired(effect, _sizes(options)[0], **shared),
        "n": lambda: t_power.sample_size_t_paired(effect, **(shared | _taken(options, "power"))),
        "effect": lambda: t_power.minimal_effect_t_paired(_sizes(options)[0], **(shared | _taken(options, "power"))),
    }
    return wanted[_wanted(options)]()


def _anova(options: Options) -> Power:
    effect, shared = _first(options, "f", "effect_size", "effect"), _taken(options, "alpha")
    k = _first(options, "k", "k_groups", "groups")
    n = options["n_total"] / k if "n_total" in options else _sizes(options)[0]
    wanted: dict[str, Callable[[], Power]] = {
        "power": lambda: t_power.power_anova(effect, n, k, **shared),
        "n": lambda: t_power.sample_size_anova(effect, k, **(shared | _taken(options, "power"))),
        "effect": lambda: t_power.minimal_effect_anova(n, k, **(shared | _taken(options, "power"))),
    }
    return wanted["power" if "n_total" in options and "power" not in options else _wanted(options)]()


def _proportions(options: Options) -> Power:
    shares = _first(options, "p1", "p_a"), _first(options, "p2", "p_b")
    shared = _taken(options, "alpha", "alternative")
    wanted: dict[str, Callable[[], Power]] = {
        "power": lambda: proportions.power_proportions(*shares, *_sizes(options), **shared),
        "n": lambda: proportions.sample_size_proportions(*shares, **(shared | _taken(options, "power", "ratio"))),
        "effect": lambda: proportions.minimal_effect_proportions(
            shares[1], *_sizes(options), **(shared | _taken(options, "power"))
        ),
    }
    return wanted[_wanted(options)]()
