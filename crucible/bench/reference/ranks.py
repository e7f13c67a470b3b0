"""The kinds of reference cases about ranks, tables, proportions, correlations, permutations and the bootstrap.

Options that a case does not name are as R and SciPy have them: where the two differ, as R.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crucible.bench import (
    bootstraps,
    correlations,
    permutation,
    proportions,
    rank_groups,
    ranks,
    signed_ranks,
    table_effects,
    tables,
)
from crucible.bench.estimates import Estimate
from crucible.bench.reference.cases import Kind
from crucible.bench.result import Interval, TestResult

Fields = Mapping[str, Any]
PROPORTION_NAMES: Final = {"beta": "clopper_pearson", "exact": "clopper_pearson", "ac": "agresti_coull"}
DIFFERENCE_NAMES: Final = {"newcomb": "newcombe", "miettinen_nurminen": "score", "mn": "score"}
WEIGHT_NAMES: Final = {"unweighted": "none", "equal": "linear", "squared": "quadratic"}
"""Names of intervals and weights elsewhere, and ours."""
CONTINUITY: Final = ("continuity", "correction", "correct", "use_continuity")


def _alternative(options: Fields) -> Any:
    given = options.get("alternative", "two-sided")
    return {"two.sided": "two-sided", "two_sided": "two-sided"}.get(given, given)


def _level(options: Fields) -> float:
    return float(options.get("confidence_level", options.get("level", 0.95)))


def _policy(options: Fields) -> Any:
    return options.get("nan_policy", "propagate")


def _continuity(options: Fields, *, default: bool = True) -> bool:
    return next((bool(options[name]) for name in CONTINUITY if name in options), default)


def _common(options: Fields) -> dict[str, Any]:
    return {"alternative": _alternative(options), "level": _level(options), "nan_policy": _policy(options)}


def _ends(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [interval.low, interval.high]


def _fields(result: TestResult, **more: Any) -> dict[str, Any]:
    effects = {effect.name: effect.value for effect in result.effects}
    return {
        **result.details, **{effect.name: effect.value for effect in result.effects},
        "statistic": result.statistic, "p_value": result.p_value, "ln_p": result.ln_p, "df": result.df,
        "estimate": result.estimate, "se": result.standard_error, "ci": _ends(result.interval),
        "effect_size": effects, "status": result.status, "reason": result.reason, "n_dropped": sum(result.n_dropped),
        "n": result.n, "alternative": result.alternative, **more,
    }  # fmt: skip


def _estimated(found: Estimate, **more: Any) -> dict[str, Any]:
    return {
        **found.details, "estimate": found.value, "statistic": found.value, "se": found.standard_error,
        "ci": _ends(found.interval), "n": found.n, "status": found.status, "reason": found.reason, **more,
    }  # fmt: skip


def _usual(method: Any, exact: bool) -> Any:  # noqa: FBT001
    """R's choice, where a case makes none: exact only for few values without ties."""
    if method in {None, "auto"}:
        return "exact" if exact else "asymptotic"
    return {"approx": "asymptotic", "normal": "asymptotic", "asymp": "asymptotic", "permutation": "exact"}.get(
        method, method
    )


def _has_ties(*samples: Any) -> bool:
    import numpy as np

    values = np.concatenate([np.asarray(sample, dtype=np.float64) for sample in samples])
    return len(np.unique(values)) < len(values)


def _mannwhitney(inputs: Fields, options: Fields) -> Fields:
    a, b = inputs["a"], inputs["b"]
    few = max(len(a), len(b)) < ranks.EXACT_BELOW
    method = _usual(options.get("method"), few and not _has_ties(a, b))
    result = ranks.mannwhitney(a, b, method=method, continuity=_continuity(options), **_common(options))
    return _fields(result, u1=result.statistic)


def _wilcoxon(inputs: Fields, options: Fields) -> Fields:
    import numpy as np

    a, b = inputs.get("a", inputs.get("x")), inputs.get("b", inputs.get("y"))
    decimals = options.get("round_differences")
    method = options.get("method")
    if method in {None, "auto"} and (b is None or len(a) == len(b)):
        differences = np.asarray(a, float) - (np.asarray(b, float) if b is not None else 0.0)
        sizes = np.abs(np.round(differences, decimals) if decimals is not None else differences)
        method = _usual(method, len(sizes) < signed_ranks.EXACT_UP_TO and not _has_ties(sizes) and 0.0 not in sizes)
    result = signed_ranks.wilcoxon(
        a, b, method=_usual(method, exact=True), continuity=_continuity(options), round_differences=decimals,
        zero_method=options.get("zero_method", "wilcox"), **_common(options),
    )  # fmt: skip
    return _fields(result, n=result.details.get("n_nonzero", sum(result.n)))


def _brunner_munzel(inputs: Fields, options: Fields) -> Fields:
    result = ranks.brunner_munzel(
        inputs["a"], inputs["b"], distribution=options.get("distribution", "t"), **_common(options)
    )
    below = result.details.get("p_a_less_b")
    ends = _ends(result.interval)
    turned = None if ends is None else [None if end is None else 1 - end for end in reversed(ends)]
    return _fields(result, estimate=below, ci=turned)


def _kruskal(inputs: Fields, options: Fields) -> Fields:
    return _fields(rank_groups.kruskal(inputs["groups"], level=_level(options), nan_policy=_policy(options)))


def _friedman(inputs: Fields, options: Fields) -> Fields:
    return _fields(rank_groups.friedman(inputs["blocks"], nan_policy=_policy(options)))


def _cochran_q(inputs: Fields, options: Fields) -> Fields:
    return _fields(rank_groups.cochran_q(inputs["blocks"], nan_policy=_policy(options)))


def _mcnemar(inputs: Fields, options: Fields) -> Fields:
    method: Any = options.get("method")
    if method is None:
        method = "exact" if options.get("exact", True) else "chi2_corrected" if _continuity(options) else "chi2"
    method = {"mid-p": "midp", "mid_p": "midp", "chi2_cc": "chi2_corrected", "asymptotic": "chi2"}.get(method, method)
    result = tables.mcnemar(inputs["table"], method=method, alternative=_alternative(options), level=_level(options))
    return _fields(result, odds_ratio=result.estimate)


def _fisher_exact(inputs: Fields, options: Fields) -> Fields:
    result = tables.fisher_exact(inputs["table"], alternative=_alternative(options), level=_level(options))
    return _fields(result, odds_ratio=result.statistic, conditional_odds_ratio=result.estimate)


def _chi2_contingency(inputs: Fields, options: Fields) -> Fields:
    correction = _continuity(options)
    return _fields(tables.chi2_contingency(inputs["table"], correction=correction, level=_level(options)))


def _proportion_ci(inputs: Fields, options: Fields) -> Fields:
    asked = {"level": _level(options), "alternative": _alternative(options)}
    found = {
        method: proportions.proportion_interval(inputs["k"], inputs["n"], method=method, **asked)
        for method in proportions.PROPORTION_METHODS
    }
    method: Any = options.get("method", "wilson")
    method = str(method).lower().replace("-", "_")
    chosen = found[PROPORTION_NAMES.get(method, method)]
    return _estimated(chosen, **{name: _ends(each.interval) for name, each in found.items()})


def _binom(inputs: Fields, options: Fields) -> Fields:
    p0 = inputs.get("p0", options.get("p0", 0.5))
    result = proportions.binomial_test(
        inputs["k"], inputs["n"], p0, alternative=_alternative(options), level=_level(options)
    )
    return _fields(result, ci_clopper_pearson=_ends(result.interval))


def _proportion_diff_ci(inputs: Fields, options: Fields) -> Fields:
    method = str(options.get("method", "newcombe")).lower().replace("-", "_")
    method = DIFFERENCE_NAMES.get(method, method)
    found = proportions.proportion_difference_interval(
        inputs["k1"], inputs["n1"], inputs["k2"], inputs["n2"], level=_level(options),
        alternative=_alternative(options), method=method,  # type: ignore[arg-type]
    )  # fmt: skip
    return _estimated(found)


def _proportions_z(inputs: Fields, options: Fields) -> Fields:
    result = proportions.proportions_z(
        inputs["k1"], inputs["n1"], inputs["k2"], inputs["n2"], alternative=_alternative(options), level=_level(options)
    )
    return _fields(result, z=result.statistic)


def _cohens_kappa(inputs: Fields, options: Fields) -> Fields:
    weights: Any = options.get("weights") or "none"
    result = table_effects.cohens_kappa(
        inputs["table"], weights=WEIGHT_NAMES.get(weights, weights), alternative=_alternative(options),
        level=_level(options),
    )  # fmt: skip
    return _fields(result, statistic=result.estimate, kappa=result.estimate, z=result.statistic)


def _pearson(inputs: Fields, options: Fields) -> Fields:
    return _fields(correlations.pearson(inputs["x"], inputs["y"], **_common(options)))


def _spearman(inputs: Fields, options: Fields) -> Fields:
    return _fields(correlations.spearman(inputs["x"], inputs["y"], **_common(options)))


def _kendall(inputs: Fields, options: Fields) -> Fields:
    return _fields(
        correlations.kendall(inputs["x"], inputs["y"], method=options.get("method", "auto"), **_common(options))
    )


def _effect_size_2x2(inputs: Fields, options: Fields) -> Fields:
    asked = {"level": _level(options), "alternative": _alternative(options)}
    found = table_effects.odds_ratio(inputs["table"], **asked)
    ratio = table_effects.risk_ratio(inputs["table"], **asked)
    (a, b), (c, d) = inputs["table"]
    phi = table_effects.phi((a, b, c, d), _level(options)).value
    return _estimated(
        found, odds_ratio=found.value, phi=phi, risk_ratio=ratio.value, risk_ratio_ci=_ends(ratio.interval),
        log_odds_ratio=found.details.get("ln_ratio"),
        se=found.details.get("ln_standard_error"),
    )  # fmt: skip


def _drawing(options: Fields) -> dict[str, Any]:
    """Exact unless a case says otherwise."""
    exact = bool(options.get("exact", True))
    return {
        "exact": exact, "n_resamples": int(options.get("n_resamples", permutation.RESAMPLES)),
        "seed": None if exact else int(options.get("seed", 0)), "alternative": _alternative(options),
        "nan_policy": _policy(options),
    }  # fmt: skip


def _permutation_2ind(inputs: Fields, options: Fields) -> Fields:
    given: Any = options.get("statistic", "mean_diff")
    names: dict[str, Any] = {
        "mean_diff": "mean_difference",
        "median_diff": "median_difference",
        "t": "welch_t",
        "welch": "welch_t",
    }
    result = permutation.permutation_independent(
        inputs["a"], inputs["b"], statistic=names.get(given, given), **_drawing(options)
    )
    return _fields(result)


def _permutation_paired(inputs: Fields, options: Fields) -> Fields:
    return _fields(permutation.permutation_paired(inputs["a"], inputs["b"], **_drawing(options)))


def _bootstrap_exact(inputs: Fields, options: Fields) -> Fields:
    statistic = {"sd": "std"}.get(options.get("statistic", "mean"), options.get("statistic", "mean"))
    asked: dict[str, Any] = {
        "statistic": statistic, "level": _level(options), "alternative": _alternative(options),
        "complete": True, "nan_policy": _policy(options),
    }  # fmt: skip
    found = {
        method: bootstraps.bootstrap(inputs["a"], method=method, **asked) for method in ("percentile", "basic", "bca")
    }
    ends = {f"{method}_ci": _ends(each.interval) for method, each in found.items()}
    bca = {**found["bca"].details, "ci": _ends(found["bca"].interval)}
    plain = found["percentile"]  # BCa may have no interval where the others do
    return _estimated(found["bca"], status=plain.status, reason=plain.reason, **ends, bca=bca)


KINDS: Final[dict[str, Kind]] = {
    "mannwhitney": _mannwhitney,
    "wilcoxon": _wilcoxon,
    "brunner_munzel": _brunner_munzel,
    "kruskal": _kruskal,
    "friedman": _friedman,
    "cochran_q": _cochran_q,
    "mcnemar": _mcnemar,
    "fisher_exact": _fisher_exact,
    "chi2_contingency": _chi2_contingency,
    "proportion_ci": _proportion_ci,
    "binom": _binom,
    "proportion_diff_ci": _proportion_diff_ci,
    "proportions_z": _proportions_z,
    "cohens_kappa": _cohens_kappa,
    "pearson": _pearson,
    "spearman": _spearman,
    "kendall": _kendall,
    "effect_size_2x2": _effect_size_2x2,
    "permutation_2ind": _permutation_2ind,
    "permutation_paired": _permutation_paired,
    "bootstrap_exact": _bootstrap_exact,
}
"""Every kind of this family, by its name in a reference file."""
