"""What can be exported, as lines of a table: one for a test, an estimate, a design, and each pair of a post-hoc test.

A kind of value is added here by a function of its own; the formats know nothing of kinds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Final

from crucible.bench.anytime import Evidence
from crucible.bench.bayes import BayesFactor
from crucible.bench.comparison import Compared
from crucible.bench.corrections import Adjustment
from crucible.bench.descriptions import Description
from crucible.bench.designs import Power
from crucible.bench.effects import EffectSizes
from crucible.bench.estimates import Estimate
from crucible.bench.evaluation import Evaluation
from crucible.bench.evaluation_designs import EvaluationPower
from crucible.bench.experiments import ComparedArms
from crucible.bench.families import Family
from crucible.bench.pass_rates import PassRate
from crucible.bench.repeated import VarianceSplit
from crucible.bench.result import Comparison, Effect, Interval, TestResult
from crucible.errors import Problem, StatisticsError

CAN_BE_EXPORTED: Final = (
    "a TestResult, Family, Compared, ComparedArms, Estimate, Effect, EffectSizes, Evaluation, EvaluationPower, Power, "
    "BayesFactor, Evidence, PassRate, Description, Adjustment or VarianceSplit, or a mapping of labels to such values"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line; what a value has none of is None or empty."""

    label: str
    test: str
    status: str = "ok"
    reason: str | None = None
    estimate: float | None = None
    estimate_name: str | None = None
    standard_error: float | None = None
    interval: Interval | None = None
    statistic: float | None = None
    statistic_name: str | None = None
    df: tuple[float, ...] = ()
    p_value: float | None = None
    ln_p: float | None = None
    p_adjusted: float | None = None
    """Corrected for a family; of a pair, by its own test."""
    ln_p_adjusted: float | None = None
    is_corrected: bool = False
    """Whether ``p_value`` is corrected already."""
    effects: tuple[Effect, ...] = ()
    n: tuple[float, ...] = ()
    n_dropped: tuple[int, ...] = ()
    alternative: str | None = None
    null: float | None = None
    method: str = ""
    details: Mapping[str, float] = dataclasses.field(default_factory=dict)
    is_detailed: bool = True
    """Whether ``details`` are what a reader looks for; those of a test are many."""
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    digest: str | None = None


NAMES: Final = tuple(field.name for field in dataclasses.fields(Line))


@functools.singledispatch
def lines(what: Any, label: str = "") -> list[Line]:
    """The lines of a value. Raises ``StatisticsError`` for one that is of no kind that can be exported."""
    where = f"what[{label!r}]" if label else "what"
    raise StatisticsError([Problem(where, "this can't be exported", type(what).__name__, CAN_BE_EXPORTED)])


@lines.register(Mapping)
def _(what: Mapping[Any, Any], label: str = "") -> list[Line]:
    return [line for key, value in what.items() for line in lines(value, _named(label, str(key)))]


@lines.register
def _(what: TestResult, label: str = "") -> list[Line]:
    return [_line(what, label, is_detailed=False), *(_pair(what, pair, label) for pair in what.comparisons)]


@lines.register
def _(what: Family, label: str = "") -> list[Line]:
    found = []
    for member in what.members:
        whole, *pairs = lines(member.result, _named(label, member.label))
        found.append(dataclasses.replace(whole, p_adjusted=member.p_adjusted, ln_p_adjusted=member.ln_p_adjusted))
        found += pairs
    return found


@lines.register
def _(what: Compared, label: str = "") -> list[Line]:
    tests = [what.primary, *what.beside, *([] if what.equivalence is None else [what.equivalence])]
    pair = _named(label, " − ".join(what.names))
    return [line for test in tests for line in lines(test, pair)]


@lines.register
def _(what: ComparedArms, label: str = "") -> list[Line]:
    omnibus = [] if what.omnibus is None else lines(what.omnibus, _named(label, "all arms"))
    means = [line for name, mean in what.means.items() for line in lines(mean, _named(label, str(name)))]
    return [*lines(what.family, label), *omnibus, *means]


@lines.register
def _(what: Estimate, label: str = "") -> list[Line]:
    return [_line(what, label, test=what.name, estimate=what.value, estimate_name=what.name)]


@lines.register
def _(what: Effect, label: str = "") -> list[Line]:
    status = "ok" if what.value is not None else "degenerate"
    return [_line(what, label, test=what.name, estimate=what.value, estimate_name=what.name, status=status)]


@lines.register
def _(what: EffectSizes, label: str = "") -> list[Line]:
    return [
        _line(what, label, test="effect_sizes", effects=()),
        *(line for each in what.effects for line in lines(each, label)),
    ]


@lines.register
def _(what: Evaluation, label: str = "") -> list[Line]:
    numbers = _numbers(what, "n_scores", "n_clusters", "n_seeds", "se_independent", "design_effect")
    own = {"n": (what.n,), "n_dropped": (what.n_dropped,), "df": () if what.df is None else (what.df,)}
    return [_line(what, label, test="evaluation", estimate_name="mean score", details=numbers, **own)]


@lines.register
def _(what: EvaluationPower, label: str = "") -> list[Line]:
    numbers = _numbers(what, "power", "alpha", "variance", "n_whole")
    own = {"estimate": what.delta, "estimate_name": "difference", "n": (what.n,)}
    return [_line(what, label, test="evaluation_power", details=numbers, **own)]


@lines.register
def _(what: Power, label: str = "") -> list[Line]:
    numbers = {**_numbers(what, "power", "alpha", "n_fractional"), **what.details}
    return [_line(what, label, estimate=what.effect, estimate_name=what.effect_name, details=numbers)]


@lines.register
def _(what: BayesFactor, label: str = "") -> list[Line]:
    numbers = _numbers(what, "bf10", "ln_bf10", "scale")
    return [_line(what, label, details=numbers)]


@lines.register
def _(what: Evidence, label: str = "") -> list[Line]:
    own = {"statistic": what.ln_e, "statistic_name": "ln e", "p_value": what.p_value, "ln_p": what.ln_p}
    ends = what.interval() if hasattr(what, "interval") else None
    n = (what.n,) if hasattr(what, "n") else ()
    return [_line(what, label, test=type(what).__name__, interval=ends, n=n, **own)]


@lines.register
def _(what: PassRate, label: str = "") -> list[Line]:
    own = {"estimate_name": what.name, "n": (what.n,), "details": _numbers(what, "k")}
    return [_line(what, label, test=what.name, **own)]


@lines.register
def _(what: Description, label: str = "") -> list[Line]:
    names = ("sd", "low", "q25", "median", "q75", "high", "iqr", "skew", "kurtosis")
    own = {"estimate": what.mean, "estimate_name": "mean", "standard_error": what.sem, "n": (what.n,)}
    own["n_dropped"] = (what.n_dropped,)
    return [_line(what, label, test="describe", details=_numbers(what, *names), **own)]


@lines.register
def _(what: VarianceSplit, label: str = "") -> list[Line]:
    return [_line(what, label, test="variance_split", details=_numbers(what, "between", "within", "samples"))]


@lines.register
def _(what: Adjustment, label: str = "") -> list[Line]:
    return [
        Line(label=_named(label, f"p[{place}]"), test="adjust", method=what.method, p_adjusted=p, ln_p_adjusted=ln_p)
        for place, (p, ln_p) in enumerate(zip(what.p_values, what.ln_p, strict=True))
    ]


def _line(what: Any, label: str, **own: Any) -> Line:
    """The line of a value: fields that have the same name, but for those that are given."""
    shared = {name: getattr(what, name) for name in NAMES if name not in own and hasattr(what, name)}
    return Line(**{**shared, **own, "label": label})


def _pair(result: TestResult, pair: Comparison, label: str) -> Line:
    """One pair of a post-hoc test, whose p value is corrected by the test itself: it stands as both."""
    known = {name: getattr(pair, name) for name in ("estimate", "statistic", "p_value", "ln_p", "interval")}
    return Line(
        **known,
        label=_named(label, f"{pair.first} − {pair.second}"),
        test=result.test,
        is_corrected=True,
        estimate_name=result.estimate_name,
        df=() if pair.df is None else (pair.df,),
        p_adjusted=pair.p_value,
        ln_p_adjusted=pair.ln_p,
        alternative=result.alternative,
        null=result.null,
        method=result.method,
    )


def _named(label: str, more: str) -> str:
    return f"{label}: {more}" if label and more else label or more


def _numbers(what: Any, *names: str) -> dict[str, float]:
    """The fields of these names that are there."""
    return {name: value for name in names if (value := getattr(what, name)) is not None}
