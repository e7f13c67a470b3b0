"""Tables of what analyses found: cells compared in pairs, and cells in their order."""

from __future__ import annotations

from crucible.projections.columns import EVENT_ID, RUN_ID, RUN_NO, STAGE, Column, Spread, Table

_HEAD = (
    RUN_NO,
    RUN_ID,
    STAGE,
    Column("submission_id", "VARCHAR", "the submission"),
    Column("generation", "INTEGER", "which run after the grid found it, from 1: its repeat; the highest is the newest"),
    Column("metric", "VARCHAR", "metric"),
)

COMPARISONS = Table(
    "comparisons",
    "Two cells of a grid compared by a metric, as a completed analysis found it; first minus second.",
    (
        *_HEAD,
        Column("cell_a", "INTEGER", "index of the first cell"),
        Column("label_a", "VARCHAR", "its label"),
        Column("cell_b", "INTEGER", "index of the second cell"),
        Column("label_b", "VARCHAR", "its label"),
        Column("pairing", "VARCHAR", "what makes a pair: repeat or item"),
        Column("n", "INTEGER", "pairs"),
        Column("mean_a", "DOUBLE", "mean of the first cell over the pairs"),
        Column("mean_b", "DOUBLE", "mean of the second cell over the pairs"),
        Column("difference", "DOUBLE", "mean of first minus second"),
        Column("low", "DOUBLE", "lower end of the interval of the difference"),
        Column("high", "DOUBLE", "upper end of the interval of the difference"),
        Column("level", "DOUBLE", "confidence level of the intervals"),
        Column("p", "DOUBLE", "two-sided p value; null: there is none"),
        Column("p_adjusted", "DOUBLE", "corrected over the family"),
        Column("correction", "VARCHAR", "holm, bonferroni, hochberg, hommel, sidak, holm_sidak, bh, by or none"),
        Column("family", "INTEGER", "tests in the family: those of this metric and pairing that have a p value"),
        Column("effect_name", "VARCHAR", "name of the effect size"),
        Column("effect", "DOUBLE", "effect size"),
        Column("effect_low", "DOUBLE", "lower end of its interval"),
        Column("effect_high", "DOUBLE", "upper end of its interval"),
        Column("d_z", "DOUBLE", "Cohen's d_z: the effect size before its correction for few pairs"),
        Column("method", "VARCHAR", "how it was computed"),
        Column("status", "VARCHAR", "ok, or degenerate: no test can be made of these pairs"),
        Column("reason", "VARCHAR", "why it is degenerate, or what was left out"),
        EVENT_ID,
    ),
    Spread.WHOLE,
)

RANKINGS = Table(
    "rankings",
    "The cells of a grid by a metric: mean, interval, and how often each is best when repeats are resampled.",
    (
        *_HEAD,
        Column("cell_index", "INTEGER", "index of the cell"),
        Column("label", "VARCHAR", "its label"),
        Column("n", "INTEGER", "repeats with a value"),
        Column("mean", "DOUBLE", "mean over them"),
        Column("low", "DOUBLE", "lower end of its interval"),
        Column("high", "DOUBLE", "upper end of its interval"),
        Column("level", "DOUBLE", "confidence level of the interval"),
        Column("p_best", "DOUBLE", "share of resamples in which it is best; null: not measured in each repeat"),
        Column("resamples", "INTEGER", "resamples drawn"),
        EVENT_ID,
    ),
    Spread.WHOLE,
)

ANALYSIS_TABLES = (COMPARISONS, RANKINGS)
