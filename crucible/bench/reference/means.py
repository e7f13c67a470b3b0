"""Kinds of the reference file for means, variances and distributions: each calls what users call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from crucible.bench import (
    anova,
    bayes,
    descriptions,
    distributions,
    effects,
    equivalence,
    normality,
    post_hoc,
    t_tests,
    variances,
)
from crucible.bench.distributions import Tail
from crucible.bench.estimates import Estimate
from crucible.bench.reference.cases import Kind
from crucible.bench.reference.designs import power
from crucible.bench.result import Comparison, Interval, TestResult

Inputs = Mapping[str, Any]
Fields = dict[str, Any]


def fields(result: TestResult) -> Fields:
    """Every field of a test that a case can ask for."""
    return {
        "status": result.status,
        "reason": result.reason,
        "statistic": result.statistic,
        "p_value": result.p_value,
        "ln_p": result.ln_p,
        "df": list(result.df),
        "ci": ends(result.interval),
        "estimate": result.estimate,
        "se": result.standard_error,
        "n": list(result.n),
        "n_dropped": sum(result.n_dropped),
        "effect_size": {each.name: each.value for each in result.effects},
        **result.details,
    }


def ends(interval: Interval | None) -> list[float | None]:
    """Both ends; an open one is None."""
    return [None, None] if interval is None else [interval.low, interval.high]


def keywords(options: Inputs, *more: str) -> dict[str, Any]:
    """Our keywords for the options of a case: alternative, level, NaN policy, and ``more`` of the same name."""
    names = {
        "alternative": "alternative",
        "confidence_level": "level",
        "conf_level": "level",
        "nan_policy": "nan_policy",
        **{name: name for name in more},
    }
    if "null" in more:
        names |= {"mu": "null", "popmean": "null"}
    return {names[name]: value for name, value in options.items() if name in names}


def _two_means(test: Callable[..., TestResult]) -> Kind:
    def kind(inputs: Inputs, options: Inputs) -> Fields:
        a, b = inputs["a"], inputs["b"]
        found = fields(test(a, b, **keywords(options, "null")))
        if test is not t_tests.t_paired:
            found["effect_size"] = _independent_effects(a, b, options)
        return found

    return kind


def _independent_effects(a: Any, b: Any, options: Inputs) -> Fields:
    given = keywords(options)
    sizes = effects.effect_sizes(a, b, **given)
    found: Fields = {each.name: each.value for each in sizes.effects}
    return {
        **found,
        "hedges_g_exact": found.get("hedges_g"),
        "hedges_g_approx": effects.hedges_g(a, b, is_approximate=True, **given).value,
        "glass_delta_sd_b": found.get("glass_delta"),
        **sizes.details,
    }


def _one_sample(inputs: Inputs, options: Inputs) -> Fields:
    null = {"null": inputs["mu"]} if "mu" in inputs else {}
    return fields(t_tests.t_one_sample(inputs["a"], **(null | keywords(options, "null"))))


def _effect_size_2ind(inputs: Inputs, options: Inputs) -> Fields:
    a, b = inputs["a"], inputs["b"]
    sizes = effects.effect_sizes(a, b, **keywords(options))
    intervals = {f"ci_{each.name}": ends(each.interval) for each in sizes.effects}
    return {
        "status": sizes.status,
        "reason": sizes.reason,
        "n_dropped": sum(sizes.n_dropped),
        "mean_diff": sizes.details.get("difference"),
        **_independent_effects(a, b, options),
        **intervals,
        "ci_cohens_d_noncentral": intervals.get("ci_cohens_d", [None, None]),
    }


def _effect_size_paired(inputs: Inputs, options: Inputs) -> Fields:
    sizes = effects.effect_sizes_paired(inputs["a"], inputs["b"], **keywords(options))
    found: Fields = {each.name: each.value for each in sizes.effects}
    intervals = {f"ci_{each.name}": ends(each.interval) for each in sizes.effects}
    d_z, df = found.get("cohens_d_z"), sum(sizes.n) - 1
    return {
        "status": sizes.status,
        "reason": sizes.reason,
        "n_dropped": sum(sizes.n_dropped),
        **found,
        **sizes.details,
        **intervals,
        "d_z": d_z,
        "d_av": found.get("cohens_d_av"),
        "g_z": found.get("hedges_g_z"),
        "hedges_g_exact": found.get("hedges_g_z"),
        "hedges_g_approx": d_z * (1 - 3 / (4 * df - 1)) if d_z is not None and df > 0 else None,
        "mean_diff": sizes.details.get("difference"),
        "sd_diff": sizes.details.get("sd_difference"),
        "ci_d_z": intervals.get("ci_cohens_d_z", [None, None]),
        "ci_d_z_noncentral": intervals.get("ci_cohens_d_z", [None, None]),
    }


def _levene(inputs: Inputs, options: Inputs) -> Fields:
    given = _policy(options)
    if "center" in options:
        given["center"] = "trimmed" if options["center"] == "trim" else options["center"]
    for name in ("trim", "proportiontocut"):
        if name in options:
            given["trim"] = options[name]
    return fields(variances.levene(inputs["groups"], **given))


def _policy(options: Inputs) -> dict[str, Any]:
    return {"nan_policy": options["nan_policy"]} if "nan_policy" in options else {}


def _grouped(test: Callable[..., TestResult]) -> Kind:
    return lambda inputs, options: fields(test(inputs["groups"], **_policy(options)))


def _var_f(inputs: Inputs, options: Inputs) -> Fields:
    ratio = {"null": options["ratio"]} if "ratio" in options else {}
    return fields(variances.var_f(inputs["a"], inputs["b"], **ratio, **keywords(options)))


def _of_one(test: Callable[..., TestResult]) -> Kind:
    return lambda inputs, options: fields(test(inputs["a"], **_policy(options)))


def _anova(inputs: Inputs, options: Inputs) -> Fields:
    found = fields(anova.anova_oneway(inputs["groups"], **_policy(options)))
    return {**found, "certified_F_decimal": found["statistic"]}


def _pairs(test: Callable[..., TestResult], *, is_second_first: bool) -> Kind:
    """Pairs by place: (0, 1), (0, 2), (1, 2), … or, as R has them, (1, 0), (2, 0), (2, 1), …."""

    def kind(inputs: Inputs, options: Inputs) -> Fields:
        given = {name: value for name, value in keywords(options).items() if name != "alternative"}
        result = test(inputs["groups"], **given)
        pairs = [_pair(each, is_second_first=is_second_first) for each in result.comparisons]
        return {**fields(result), "pairs": pairs}

    return kind


def _pair(found: Comparison, *, is_second_first: bool) -> Fields:
    sign = -1.0 if is_second_first else 1.0
    first, second = int(found.first), int(found.second)
    low, high = ends(found.interval)
    return {
        "a": second if is_second_first else first,
        "b": first if is_second_first else second,
        "estimate": _times(sign, found.estimate),
        "statistic": _times(sign, found.statistic),
        "df": found.df,
        "p_value": found.p_value,
        "ln_p": found.ln_p,
        "ci": [_times(sign, high), _times(sign, low)] if is_second_first else [low, high],
    }


def _times(sign: float, value: float | None) -> float | None:
    return None if value is None else sign * value


def _tost(inputs: Inputs, options: Inputs) -> Fields:
    names = {"low": "low", "upp": "high", "high": "high", "bound_low": "low", "bound_high": "high"}
    given = {names[name]: value for name, value in options.items() if name in names}
    given |= {name: value for name, value in keywords(options).items() if name != "alternative"}
    design: equivalence.Design = "pooled" if options.get("equal_var", True) else "welch"
    if options.get("paired", False):
        design = "paired"
    return fields(equivalence.tost(inputs["a"], inputs["b"], design=design, **given))


def _bayes(inputs: Inputs, options: Inputs) -> Fields:
    given = keywords(options, "null", "paired")
    given.pop("level", None)
    scale = options.get("r", options.get("rscale", options.get("scale", bayes.SCALE)))
    if "t" in inputs:
        n, n_b = inputs.get("n", inputs.get("n1")), inputs.get("n2")
        side = {"alternative": given["alternative"]} if "alternative" in given else {}
        found = bayes.bayes_factor_of_t(inputs["t"], n, n_b, scale=scale, **side)
    else:
        found = bayes.bayes_factor_t(inputs["a"], inputs.get("b"), scale=scale, **given)
    return {
        "status": found.status,
        "reason": found.reason,
        "bf10": found.bf10,
        "bf01": None if found.ln_bf10 is None else math.exp(-found.ln_bf10),
        "ln_bf10": found.ln_bf10,
        "t": found.statistic,
        "statistic": found.statistic,
    }


def _describe(inputs: Inputs, options: Inputs) -> Fields:
    found = descriptions.describe(inputs["a"], **_policy(options))
    return {
        "status": found.status,
        "reason": found.reason,
        "n": found.n,
        "n_dropped": found.n_dropped,
        "mean": found.mean,
        "sd": found.sd,
        "certified_mean": found.mean,
        "certified_sd": found.sd,
        "variance": None if found.sd is None else found.sd * found.sd,
        "sem": found.sem,
        "min": found.low,
        "max": found.high,
        "q25": found.q25,
        "median": found.median,
        "q75": found.q75,
        "iqr": found.iqr,
        "skew_g1_adj": found.skew,
        "kurt_g2_adj": found.kurtosis,
    }


def _interval(estimate: Callable[..., Estimate]) -> Kind:
    def kind(inputs: Inputs, options: Inputs) -> Fields:
        found = estimate(inputs["a"], **keywords(options))
        return {
            "status": found.status,
            "reason": found.reason,
            "estimate": found.value,
            found.name: found.value,
            "ci": ends(found.interval),
            "se": found.standard_error,
            "n": list(found.n),
            "n_dropped": sum(found.n_dropped),
        }

    return kind


def _tail(tail: Tail) -> Fields:
    return {"status": "ok", "p_value": tail.p, "ln_p": tail.ln_p}


def _value(value: float) -> Fields:
    return {"status": "ok", "value": None if math.isnan(value) else value}


KINDS: Final[Mapping[str, Kind]] = {
    "t_welch": _two_means(t_tests.t_welch),
    "t_student": _two_means(t_tests.t_student),
    "t_paired": _two_means(t_tests.t_paired),
    "t_1samp": _one_sample,
    "anova_oneway": _anova,
    "anova_welch": _grouped(anova.anova_welch),
    "tukey_hsd": _pairs(post_hoc.tukey_hsd, is_second_first=True),
    "games_howell": _pairs(post_hoc.games_howell, is_second_first=False),
    "power": power,
    "tost_ind": _tost,
    "bayes_factor_t": _bayes,
    "levene": _levene,
    "bartlett": _grouped(variances.bartlett),
    "fligner": _grouped(variances.fligner),
    "var_f": _var_f,
    "shapiro": _of_one(normality.shapiro),
    "effect_size_2ind": _effect_size_2ind,
    "effect_size_paired": _effect_size_paired,
    "describe": _describe,
    "mean_ci": _interval(descriptions.mean_interval),
    "variance_ci": _interval(descriptions.variance_interval),
    "t_ppf": lambda inputs, _: _value(distributions.t_quantile(inputs["p"], inputs["df"])),
    "norm_ppf": lambda inputs, _: _value(distributions.normal_quantile(inputs["p"])),
    "t_two_sided_p": lambda inputs, _: _tail(distributions.t_tail(inputs["t"], inputs["df"])),
    "f_sf": lambda inputs, _: _tail(distributions.f_tail(inputs["f"], inputs["df1"], inputs["df2"])),
    "chi2_sf": lambda inputs, _: _tail(distributions.chi2_tail(inputs["x"], inputs["df"])),
    "norm_two_sided_p": lambda inputs, _: _tail(distributions.normal_tail(inputs["z"])),
}
