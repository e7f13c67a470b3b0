"""What ``crucible run`` and ``crucible show`` print of an analysis: the best cells, and what they differ by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crucible.cli.tests_text import print_analyses, print_conclusions
from crucible.cli.text import columns, number, say
from crucible.plural import plural

if TYPE_CHECKING:
    from crucible.cli.compose import Reading

CELLS_SHOWN_MAX = 5
COMPARISONS_SHOWN_MAX = 20
RANKINGS = """
SELECT r.*, s.select_metric IS NOT DISTINCT FROM r.metric AS is_selected,
  (SELECT min(d.better) FROM metric_declarations d
    WHERE d.submission_id = r.submission_id AND d.name = r.metric AND d.scope = 'run') AS better
FROM rankings_newest r JOIN submissions s USING (submission_id)
WHERE r.submission_id = ? ORDER BY is_selected DESC, r.stage, r.metric, r.cell_index
"""
COMPARISONS = """
SELECT * FROM comparisons_newest WHERE submission_id = ? ORDER BY stage, metric, pairing DESC, cell_a, cell_b
"""

TESTS = """
SELECT * FROM tests_newest WHERE submission_id = ?
ORDER BY is_of_experiment DESC, analysis, stage, place
"""

Row = Mapping[str, Any]


def analysis_facts(reader: Reading, submission_id: str) -> dict[str, list[dict[str, Any]]]:
    """The newest analysis of a submission, as rows."""
    return {
        "rankings": [dict(row) for row in reader.rows(RANKINGS, [submission_id])],
        "comparisons": [dict(row) for row in reader.rows(COMPARISONS, [submission_id])],
        "tests": [dict(row) for row in reader.rows(TESTS, [submission_id])],
    }


def print_summary(facts: Mapping[str, Sequence[Row]]) -> None:
    """The best cells by the first metric, and whether the first one differs from the second."""
    for metric, ranked in list(_ranked(facts).items())[:1]:
        _print_cells(metric, ranked)
        _print_lead(ranked, facts["comparisons"])
    print_conclusions(facts["tests"])


def print_analysis(facts: Mapping[str, Sequence[Row]]) -> None:
    """The best cells by each metric, and what the first one differs from the others by."""
    for metric, ranked in _ranked(facts).items():
        _print_cells(metric, ranked)
        _print_lead(ranked, facts["comparisons"])
        _print_comparisons(ranked[0], facts["comparisons"])
    print_analyses(facts["tests"])


def _ranked(facts: Mapping[str, Sequence[Row]]) -> dict[tuple[str, str], list[Row]]:
    """By stage and metric, the cells that were measured, the best first; whole ones before others."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in facts["rankings"]:
        if row["mean"] is not None:
            found.setdefault((row["stage"], row["metric"]), []).append(row)
    for rows in found.values():
        sign = 1.0 if rows[0]["better"] == "lower" else -1.0
        rows.sort(key=lambda row: (row["p_best"] is None, sign * row["mean"], row["cell_index"]))
    return found


def _print_cells(metric: tuple[str, str], ranked: Sequence[Row]) -> None:
    more = f", best {CELLS_SHOWN_MAX} of {len(ranked)} cells" if len(ranked) > CELLS_SHOWN_MAX else ""
    say(f"{metric[0]} by {metric[1]}{more}:")
    rows = [
        [row["label"], row["n"], number(row["mean"]), _span(row), number(row["p_best"])]
        for row in ranked[:CELLS_SHOWN_MAX]
    ]
    level = f"{ranked[0]['level']:.0%}".replace("%", " %")
    table = columns(["cell", "repeats", "mean", level, "P(best)"], rows)
    say("\n".join(f"  {line}" for line in table.splitlines()))


def _print_lead(ranked: Sequence[Row], comparisons: Sequence[Row]) -> None:
    """Whether the best cell differs from the one after it, in one sentence."""
    if len(ranked) > 1:
        found = [row for row in _between(ranked[0], ranked[1], comparisons) if row["pairing"] == "repeat"]
        say(f"  {_lead(ranked[0], ranked[1], found[0])}" if found else f"  {_not_compared(ranked[0], ranked[1])}")


def _not_compared(best: Row, second: Row) -> str:
    return f"{best['label']} was not compared with the runner-up {second['label']}, only with the reference"


def _lead(best: Row, second: Row, found: Row) -> str:
    names = f"{best['label']} {{}} from the runner-up {second['label']}"
    if found["status"] != "ok":
        return names.format("can't be told") + f": {found['reason']}"
    found = _with_first(best, found)
    span = f"{found['difference']:.3g} [{found['low']:.3g}, {found['high']:.3g}]"
    is_different = found["p_adjusted"] <= 1 - found["level"]
    corrected = (
        ""
        if found["correction"] == "none"
        else f" after {found['correction']} over {found['family']} {plural(found['family'], 'test')}"
    )
    how = f"paired over {found['n']} repeats, p = {found['p_adjusted']:.2g}{corrected}"
    return names.format("differs" if is_different else "is not shown to differ") + f": {span}, {how}"


def _print_comparisons(best: Row, comparisons: Sequence[Row]) -> None:
    own = [row for row in comparisons if (row["stage"], row["metric"]) == (best["stage"], best["metric"])]
    with_best = [row for row in own if best["cell_index"] in {row["cell_a"], row["cell_b"]}]
    shown = [_with_first(best, row) for row in with_best[:COMPARISONS_SHOWN_MAX]]
    rows = [
        [
            f"{row['label_a']} − {row['label_b']}",
            f"{row['n']} {row['pairing']}s",
            number(row["difference"]),
            _span(row),
            "–" if row["p_adjusted"] is None else f"{row['p_adjusted']:.2g}",
            number(row["effect"]),
            row["reason"] or "",
        ]
        for row in shown
    ]
    if rows:
        title = f"comparisons with {best['label']}, {len(shown)} of {len(own)}; the table comparisons holds all"
        header = ["cells", "pairs", "difference", "interval", f"p, {own[0]['correction']}", own[0]["effect_name"], ""]
        say(f"  {title}:")
        say("\n".join(f"    {line}" for line in columns(header, rows).splitlines()))


def _between(one: Row, other: Row, comparisons: Sequence[Row]) -> list[Row]:
    cells = {one["cell_index"], other["cell_index"]}
    key = (one["stage"], one["metric"])
    return [
        row for row in comparisons if (row["stage"], row["metric"]) == key and {row["cell_a"], row["cell_b"]} == cells
    ]


def _with_first(cell: Row, row: Row) -> Row:
    """The comparison with this cell as the first one."""
    if row["cell_a"] == cell["cell_index"]:
        return row
    turned = {name: None if row[name] is None else -row[name] for name in ("difference", "effect")}
    low, high = (None if row[name] is None else -row[name] for name in ("high", "low"))
    return {**row, **turned, "low": low, "high": high, "label_a": row["label_b"], "label_b": row["label_a"]}


def _span(row: Row) -> str:
    return "" if row["low"] is None else f"[{number(row['low'])}, {number(row['high'])}]"
