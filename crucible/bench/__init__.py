"""Statistics that a reviewer would trust: tests, effect sizes, intervals, power and corrections, as pure functions.

A test answers with a `crucible.bench.result.TestResult`. Names are imported when they are first used, so that importing
this package loads no SciPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crucible.bench.anova import anova_oneway, anova_welch
    from crucible.bench.anytime import AsymptoticMean, NormalMixture, mixture_half_width
    from crucible.bench.anytime_bounded import BetaBinomial, Betting, EmpiricalBernstein, beta_binomial
    from crucible.bench.bayes import BayesFactor, bayes_factor_binomial, bayes_factor_t
    from crucible.bench.bootstraps import bootstrap, bootstrap_clustered, bootstrap_difference, bootstrap_paired
    from crucible.bench.comparison import Compared, compare, compare_paired, compare_running
    from crucible.bench.corrections import Adjustment, adjust
    from crucible.bench.correlations import kendall, pearson, spearman
    from crucible.bench.descriptions import Description, describe, mean_interval, median_interval, variance_interval
    from crucible.bench.designs import Power
    from crucible.bench.dominance import cles, cliffs_delta
    from crucible.bench.effects import (
        EffectSizes,
        cohens_d,
        cohens_d_av,
        cohens_d_z,
        effect_sizes,
        effect_sizes_paired,
        glass_delta,
        hedges_g,
    )
    from crucible.bench.encoding import from_json, to_json
    from crucible.bench.equivalence import non_inferiority, tost
    from crucible.bench.estimates import Estimate
    from crucible.bench.evaluation import Evaluation, evaluation_difference, evaluation_interval
    from crucible.bench.evaluation_designs import evaluation_power
    from crucible.bench.experiments import ComparedArms, ab_test, ablation, compare_multiple, sweep
    from crucible.bench.families import Family, Member, family
    from crucible.bench.formats import export
    from crucible.bench.normality import anderson, dagostino, jarque_bera, shapiro
    from crucible.bench.pass_rates import pass_at_k, pass_hat_k
    from crucible.bench.permutation import permutation_correlation, permutation_independent, permutation_paired
    from crucible.bench.post_hoc import dunnett, games_howell, tukey_hsd
    from crucible.bench.power import (
        minimal_effect_anova,
        minimal_effect_t_independent,
        minimal_effect_t_paired,
        power_anova,
        power_t_independent,
        power_t_paired,
        sample_size_anova,
        sample_size_t_independent,
        sample_size_t_paired,
    )
    from crucible.bench.proportion_designs import minimal_effect_proportions, power_proportions, sample_size_proportions
    from crucible.bench.proportions import (
        binomial_test,
        cohens_h,
        proportion_difference_interval,
        proportion_interval,
        proportions_z,
    )
    from crucible.bench.rank_groups import cochran_q, dunn, friedman, kruskal
    from crucible.bench.ranks import brunner_munzel, mannwhitney
    from crucible.bench.recording import input_digest, recorded
    from crucible.bench.repeated import VarianceSplit, variance_split
    from crucible.bench.result import Assumption, Comparison, Effect, Interval, TestResult
    from crucible.bench.roc_areas import delong
    from crucible.bench.signed_ranks import wilcoxon
    from crucible.bench.t_tests import t_one_sample, t_paired, t_student, t_welch, t_yuen
    from crucible.bench.table_effects import cohens_kappa, odds_ratio, risk_ratio
    from crucible.bench.tables import barnard, boschloo, chi2_contingency, fisher_exact, mcnemar
    from crucible.bench.two_arms import TwoArms, msprt
    from crucible.bench.variances import bartlett, fligner, levene, var_f

_PLACES = {
    "Adjustment": "corrections",
    "Assumption": "result",
    "AsymptoticMean": "anytime",
    "BayesFactor": "bayes",
    "BetaBinomial": "anytime_bounded",
    "Betting": "anytime_bounded",
    "Compared": "comparison",
    "ComparedArms": "experiments",
    "Comparison": "result",
    "Description": "descriptions",
    "Effect": "result",
    "EffectSizes": "effects",
    "EmpiricalBernstein": "anytime_bounded",
    "Estimate": "estimates",
    "Evaluation": "evaluation",
    "Family": "families",
    "Interval": "result",
    "Member": "families",
    "NormalMixture": "anytime",
    "Power": "designs",
    "TestResult": "result",
    "TwoArms": "two_arms",
    "VarianceSplit": "repeated",
    "ab_test": "experiments",
    "ablation": "experiments",
    "adjust": "corrections",
    "anderson": "normality",
    "anova_oneway": "anova",
    "anova_welch": "anova",
    "barnard": "tables",
    "bartlett": "variances",
    "bayes_factor_binomial": "bayes",
    "bayes_factor_t": "bayes",
    "beta_binomial": "anytime_bounded",
    "binomial_test": "proportions",
    "bootstrap": "bootstraps",
    "bootstrap_clustered": "bootstraps",
    "bootstrap_difference": "bootstraps",
    "bootstrap_paired": "bootstraps",
    "boschloo": "tables",
    "brunner_munzel": "ranks",
    "chi2_contingency": "tables",
    "cles": "dominance",
    "cliffs_delta": "dominance",
    "cochran_q": "rank_groups",
    "cohens_d": "effects",
    "cohens_d_av": "effects",
    "cohens_d_z": "effects",
    "cohens_h": "proportions",
    "cohens_kappa": "table_effects",
    "compare": "comparison",
    "compare_multiple": "experiments",
    "compare_paired": "comparison",
    "compare_running": "comparison",
    "dagostino": "normality",
    "delong": "roc_areas",
    "describe": "descriptions",
    "dunn": "rank_groups",
    "dunnett": "post_hoc",
    "effect_sizes": "effects",
    "effect_sizes_paired": "effects",
    "evaluation_difference": "evaluation",
    "evaluation_interval": "evaluation",
    "evaluation_power": "evaluation_designs",
    "export": "formats",
    "family": "families",
    "fisher_exact": "tables",
    "fligner": "variances",
    "friedman": "rank_groups",
    "from_json": "encoding",
    "games_howell": "post_hoc",
    "glass_delta": "effects",
    "hedges_g": "effects",
    "input_digest": "recording",
    "jarque_bera": "normality",
    "kendall": "correlations",
    "kruskal": "rank_groups",
    "levene": "variances",
    "mannwhitney": "ranks",
    "mcnemar": "tables",
    "mean_interval": "descriptions",
    "median_interval": "descriptions",
    "minimal_effect_anova": "power",
    "minimal_effect_proportions": "proportion_designs",
    "minimal_effect_t_independent": "power",
    "minimal_effect_t_paired": "power",
    "mixture_half_width": "anytime",
    "msprt": "two_arms",
    "non_inferiority": "equivalence",
    "odds_ratio": "table_effects",
    "pass_at_k": "pass_rates",
    "pass_hat_k": "pass_rates",
    "pearson": "correlations",
    "permutation_correlation": "permutation",
    "permutation_independent": "permutation",
    "permutation_paired": "permutation",
    "power_anova": "power",
    "power_proportions": "proportion_designs",
    "power_t_independent": "power",
    "power_t_paired": "power",
    "proportion_difference_interval": "proportions",
    "proportion_interval": "proportions",
    "proportions_z": "proportions",
    "recorded": "recording",
    "risk_ratio": "table_effects",
    "sample_size_anova": "power",
    "sample_size_proportions": "proportion_designs",
    "sample_size_t_independent": "power",
    "sample_size_t_paired": "power",
    "shapiro": "normality",
    "spearman": "correlations",
    "sweep": "experiments",
    "t_one_sample": "t_tests",
    "t_paired": "t_tests",
    "t_student": "t_tests",
    "t_welch": "t_tests",
    "t_yuen": "t_tests",
    "to_json": "encoding",
    "tost": "equivalence",
    "tukey_hsd": "post_hoc",
    "var_f": "variances",
    "variance_interval": "descriptions",
    "variance_split": "repeated",
    "wilcoxon": "signed_ranks",
}
"""Every public name with its module."""

__all__ = [
    "Adjustment",
    "Assumption",
    "AsymptoticMean",
    "BayesFactor",
    "BetaBinomial",
    "Betting",
    "Compared",
    "ComparedArms",
    "Comparison",
    "Description",
    "Effect",
    "EffectSizes",
    "EmpiricalBernstein",
    "Estimate",
    "Evaluation",
    "Family",
    "Interval",
    "Member",
    "NormalMixture",
    "Power",
    "TestResult",
    "TwoArms",
    "VarianceSplit",
    "ab_test",
    "ablation",
    "adjust",
    "anderson",
    "anova_oneway",
    "anova_welch",
    "barnard",
    "bartlett",
    "bayes_factor_binomial",
    "bayes_factor_t",
    "beta_binomial",
    "binomial_test",
    "bootstrap",
    "bootstrap_clustered",
    "bootstrap_difference",
    "bootstrap_paired",
    "boschloo",
    "brunner_munzel",
    "chi2_contingency",
    "cles",
    "cliffs_delta",
    "cochran_q",
    "cohens_d",
    "cohens_d_av",
    "cohens_d_z",
    "cohens_h",
    "cohens_kappa",
    "compare",
    "compare_multiple",
    "compare_paired",
    "compare_running",
    "dagostino",
    "delong",
    "describe",
    "dunn",
    "dunnett",
    "effect_sizes",
    "effect_sizes_paired",
    "evaluation_difference",
    "evaluation_interval",
    "evaluation_power",
    "export",
    "family",
    "fisher_exact",
    "fligner",
    "friedman",
    "from_json",
    "games_howell",
    "glass_delta",
    "hedges_g",
    "input_digest",
    "jarque_bera",
    "kendall",
    "kruskal",
    "levene",
    "mannwhitney",
    "mcnemar",
    "mean_interval",
    "median_interval",
    "minimal_effect_anova",
    "minimal_effect_proportions",
    "minimal_effect_t_independent",
    "minimal_effect_t_paired",
    "mixture_half_width",
    "msprt",
    "non_inferiority",
    "odds_ratio",
    "pass_at_k",
    "pass_hat_k",
    "pearson",
    "permutation_correlation",
    "permutation_independent",
    "permutation_paired",
    "power_anova",
    "power_proportions",
    "power_t_independent",
    "power_t_paired",
    "proportion_difference_interval",
    "proportion_interval",
    "proportions_z",
    "recorded",
    "risk_ratio",
    "sample_size_anova",
    "sample_size_proportions",
    "sample_size_t_independent",
    "sample_size_t_paired",
    "shapiro",
    "spearman",
    "sweep",
    "t_one_sample",
    "t_paired",
    "t_student",
    "t_welch",
    "t_yuen",
    "to_json",
    "tost",
    "tukey_hsd",
    "var_f",
    "variance_interval",
    "variance_split",
    "wilcoxon",
]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    place = _PLACES.get(name)
    if place is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})
