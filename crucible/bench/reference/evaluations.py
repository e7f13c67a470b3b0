"""Cases of corrections, evaluations and anytime-valid tests, computed by the public functions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from crucible.bench.anytime import mixture_half_width
from crucible.bench.anytime_bounded import beta_binomial
from crucible.bench.corrections import adjust
from crucible.bench.evaluation import Distribution, Evaluation, evaluation_difference, evaluation_interval
from crucible.bench.evaluation_designs import evaluation_power
from crucible.bench.pass_rates import pass_at_k, pass_hat_k
from crucible.bench.reference.cases import Kind
from crucible.bench.result import Interval, TestResult
from crucible.bench.roc_areas import delong
from crucible.bench.two_arms import msprt

Inputs = Mapping[str, Any]
NAMES: Final = {
    "fdr": "bh",
    "fdr_bh": "bh",
    "benjamini_hochberg": "bh",
    "fdr_by": "by",
    "simes_hochberg": "hochberg",
    "holm_bonferroni": "holm",
}
"""Names that R and statsmodels have for corrections."""


def _level(options: Inputs) -> float:
    return float(options.get("confidence_level", options.get("level", 1 - options.get("alpha", 0.05))))


def _ends(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [interval.low, interval.high]


def _common(found: TestResult) -> dict[str, Any]:
    return {
        "status": found.status,
        "reason": found.reason,
        "statistic": found.statistic,
        "p_value": found.p_value,
        "ln_p": found.ln_p,
        "df": found.df,
        "estimate": found.estimate,
        "se": found.standard_error,
        "ci": _ends(found.interval),
        "n": found.n,
        "n_dropped": found.n_dropped,
    }


def _p_adjust(inputs: Inputs, options: Inputs) -> Inputs:
    method = str(options.get("method", "holm")).lower().replace("-", "_")
    found = adjust(
        inputs["p_values"],
        NAMES.get(method, method),  # type: ignore[arg-type]  # another name is refused by adjust
        alpha=options.get("alpha", 0.05),
        ln_p=inputs.get("ln_p"),
    )
    return {
        "status": "ok" if found.reason is None else "degenerate",
        "reason": found.reason,
        "adjusted": [math.nan if p is None else p for p in found.p_values],
        "ln_p": [math.nan if ln is None else ln for ln in found.ln_p],
        "ln_adjusted": [math.nan if ln is None else ln for ln in found.ln_p],
        "reject": list(found.is_rejected),
        "m": found.n_tests,
        "n_reject": sum(found.is_rejected),
    }


def _labels(inputs: Inputs) -> dict[str, Any]:
    """Labels of each score, by the names that a case may have for them."""
    names = {"cluster": ("cluster", "clusters"), "question": ("question", "item"), "seed": ("seed",)}
    return {ours: inputs[name] for ours, theirs in names.items() for name in theirs if name in inputs}


def _cluster_se(inputs: Inputs, options: Inputs) -> Inputs:
    labels, level = _labels(inputs), _level(options)
    nan_policy = options.get("nan_policy", "propagate")
    found = evaluation_interval(inputs["scores"], **labels, level=level, nan_policy=nan_policy)
    by_z = evaluation_interval(inputs["scores"], **labels, level=level, nan_policy=nan_policy, distribution="normal")
    iid = evaluation_interval(inputs["scores"], level=level, nan_policy=nan_policy, distribution="normal")
    clustered = found.clustered
    return {
        **_estimated(found),
        "mean": found.estimate,
        "n_clusters": found.n_clusters,
        "se_iid": found.se_independent,
        "ci_iid": _ends(iid.interval),
        "se_cluster": clustered and clustered.cr0,
        "se_cluster_gc": clustered and clustered.corrected,
        "se_cluster_miller": clustered and clustered.miller,
        "design_effect": found.design_effect,
        "df_t": found.df,
        "ci_gc_t": _ends(found.interval),
        "ci_gc_z": _ends(by_z.interval),
    }


def _estimated(found: Evaluation) -> dict[str, Any]:
    return {
        "status": found.status,
        "reason": found.reason,
        "estimate": found.estimate,
        "se": found.standard_error,
        "df": found.df,
        "ci": _ends(found.interval),
        "n": found.n,
        "n_dropped": found.n_dropped,
    }


def _paired_eval(inputs: Inputs, options: Inputs) -> Inputs:
    """The test is that of independent questions by z; the clustered one has fields of its own."""

    def compared(distribution: Distribution, labels: Mapping[str, Any]) -> TestResult:
        return evaluation_difference(
            inputs["scores_a"],
            inputs["scores_b"],
            **labels,
            alternative=options.get("alternative", "two-sided"),
            level=_level(options),
            nan_policy=options.get("nan_policy", "propagate"),
            distribution=distribution,
        )

    labels = _labels(inputs)
    plain, clustered = compared("normal", {}), compared("t", labels)
    return {
        **_common(plain),
        "diff": plain.estimate,
        "mean_a": plain.details.get("mean_a"),
        "mean_b": plain.details.get("mean_b"),
        "se_unpaired": plain.details.get("se_unpaired"),
        "se_paired": plain.standard_error,
        "se_paired_cluster": clustered.details.get("se_paired_cluster"),
        "se_paired_cluster_gc": clustered.details.get("se_paired_cluster_corrected"),
        "se_paired_cluster_miller": clustered.details.get("se_paired_cluster_miller"),
        "z_paired": plain.statistic,
        "corr": plain.details.get("correlation"),
        "n_clusters": clustered.details.get("n_clusters"),
        "ci_paired": _ends(plain.interval),
        "ci_cluster_t": _ends(clustered.interval),
        "ci_paired_cluster": _ends(clustered.interval),
        "p_cluster": clustered.p_value,
        "p_paired_cluster": clustered.p_value,
    }


class _Power(dict[str, Any]):
    """Answers that are computed when they are asked for: the smallest difference with any number of questions."""

    def __init__(self, known: Mapping[str, Any], variances: Mapping[str, Any], alpha: float, power: float) -> None:
        super().__init__(known)
        self._given = {**variances, "alpha": alpha}
        self._power = power

    def get(self, name: str, default: Any = None) -> Any:
        """A field; ``mde_at_n1000`` is the smallest difference that 1,000 questions show."""
        wanted = re.fullmatch(r"mde_at_n_?(\d+)", name, re.ASCII)
        if wanted is None:
            return super().get(name, default)
        return evaluation_power(**self._given, n=int(wanted[1]), power=self._power).delta


def _eval_power(inputs: Inputs, options: Inputs) -> Inputs:
    given = {**inputs, **options}
    variances: dict[str, Any] = {
        name: given[name] for name in ("omega2", "sigma2_a", "sigma2_b", "k_a", "k_b") if name in given
    }
    variances["design_effect"] = given.get("design_effect", 1.0)
    variances["is_two_sided"] = given.get("alternative", "two-sided") == "two-sided"
    alpha, power = given.get("alpha", 0.05), given.get("power", 0.8)
    known: dict[str, Any] = {"status": "ok", "reason": None}
    delta, n = given.get("delta"), given.get("n")
    if delta is not None:
        size = evaluation_power(**variances, alpha=alpha, delta=delta, power=power)
        known |= {"n": size.n, "n_ceil": size.n_whole}
    if n is not None:
        known["mde"] = evaluation_power(**variances, alpha=alpha, n=n, power=power).delta
        if delta is not None:
            known["power"] = evaluation_power(**variances, alpha=alpha, n=n, delta=delta).power
    return _Power(known, variances, alpha, power)


def _pass_at_k(inputs: Inputs, options: Inputs) -> Inputs:
    n, c = inputs["n"], inputs["c"]
    wanted = inputs.get("k", options.get("k", 1))
    ks = wanted if isinstance(wanted, list) else [wanted]
    cluster, level = inputs.get("cluster"), _level(options)
    found = [pass_at_k(n, c, k, cluster=cluster, level=level) for k in ks]
    hats = [pass_hat_k(n, c, k, cluster=cluster, level=level) for k in ks]
    values = [each.estimate for each in found]
    only = found[0] if len(found) == 1 else None
    return {
        "status": "ok",
        "reason": None,
        "values": values,
        "pass_at_k": values,
        "pass_hat_k": [each.estimate for each in hats],
        "per_problem": [list(each.values) for each in found] if only is None else list(only.values),
        "value": values[0],
        "estimate": values[0],
        "se": only and only.standard_error,
        "ci": only and _ends(only.interval),
    }


def _delong(inputs: Inputs, options: Inputs) -> Inputs:
    found = delong(
        inputs["y"],
        inputs["score_a"],
        inputs["score_b"],
        alternative=options.get("alternative", "two-sided"),
        level=_level(options),
        nan_policy=options.get("nan_policy", "propagate"),
    )
    areas = [found.effect(name) for name in ("auc_a", "auc_b")]
    auc = [None if area is None else area.value for area in areas]
    return {
        **_common(found),
        "auc": auc,
        "auc_a": auc[0],
        "auc_b": auc[1],
        "diff": found.estimate,
        "se": [found.details.get("se_a"), found.details.get("se_b")],
        "se_diff": found.standard_error,
        "covariance": found.details.get("covariance"),
        "z": found.statistic,
    }


def _conf_seq_normal_mixture(inputs: Inputs, options: Inputs) -> Inputs:
    given = {**inputs, **options}
    sizes = given["n"] if isinstance(given["n"], list) else [given["n"]]
    alternative = given.get("alternative", "two-sided")
    widths = [
        mixture_half_width(
            n, sigma=given["sigma"], rho=given["rho"], alpha=given.get("alpha", 0.05), alternative=alternative
        )
        for n in sizes
    ]
    return {"status": "ok", "reason": None, "half_width": widths}


def _e_value_binomial(inputs: Inputs, options: Inputs) -> Inputs:
    found = beta_binomial(
        inputs["successes"],
        inputs["failures"],
        p0=options.get("p0", 0.5),
        a=options.get("a", 1.0),
        b=options.get("b", 1.0),
        alternative=options.get("alternative", "two-sided"),
    )
    return {
        "status": "ok",
        "reason": None,
        "e_value": found.e_value,
        "ln_e": found.ln_e,
        "anytime_p": found.p_value,
        "p_value": found.p_value,
        "ln_p": found.ln_p,
    }


def _msprt_normal(inputs: Inputs, options: Inputs) -> Inputs:
    given = {**inputs, **options}
    found = msprt(
        given["n"],
        given["mean"],
        sigma2=given["sigma2"],
        tau2=given["tau2"],
        theta0=given.get("theta0", 0.0),
        alternative=given.get("alternative", "two-sided"),
    )
    return {
        "status": "ok",
        "reason": None,
        "lr": found.e_value,
        "ln_lr": found.ln_e,
        "anytime_p": found.p_value,
        "p_value": found.p_value,
        "ln_p": found.ln_p,
    }


KINDS: Final[Mapping[str, Kind]] = {
    "p_adjust": _p_adjust,
    "cluster_se": _cluster_se,
    "paired_eval": _paired_eval,
    "eval_power": _eval_power,
    "pass_at_k": _pass_at_k,
    "delong": _delong,
    "conf_seq_normal_mixture": _conf_seq_normal_mixture,
    "e_value_binomial": _e_value_binomial,
    "msprt_normal": _msprt_normal,
}
