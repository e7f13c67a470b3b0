"""Results and families in every format: escaped, at their own level, and never a small number as zero."""

import csv
import html
import io
import json
import re
from decimal import Decimal

import pytest

from crucible import bench
from crucible.bench.anova import anova_oneway
from crucible.bench.encoding import from_json, from_plain, to_json, to_plain
from crucible.bench.families import family
from crucible.bench.formats import EXPORT_FORMATS, export
from crucible.bench.post_hoc import tukey_hsd
from crucible.bench.result import Effect, Interval, TestResult
from crucible.bench.t_tests import t_paired, t_welch
from crucible.errors import StatisticsError
from crucible.numerals import percent, written_p

A = [1.25, 2.0, 3.5, 4.0, 5.5]
B = [2.0, 2.5, 4.5, 6.0, 6.25]
NASTY = "=1+1 <b>|_%&$\\ \n\"'"


def some():
    far = [value * 1e-9 for value in A] * 4000
    return {
        "plain": t_welch(A, B),
        "one-sided at 99 %": t_welch(A, B, alternative="greater", level=0.99),
        "underflow": t_welch(far, [value + 1 for value in far]),
        "constant": t_paired([1.0, 1.0], [2.0, 2.0]),
        "anova": anova_oneway([A, B, [9.0, 8.0, 7.5]]),
        "pairs": tukey_hsd([A, B, [9.0, 8.0, 7.5]], labels=["x", NASTY, "z"]),
        NASTY: t_welch(B, A),
        "infinite": TestResult(
            test="t",
            method="m",
            statistic=float("-inf"),
            status="degenerate",
            reason="zero_variance",
            effects=(Effect(name="d", value=float("inf"), interval=Interval(low=1.0, high=float("inf"), level=0.9)),),
        ),
    }


@pytest.mark.parametrize("label", some())
def test_a_result_comes_back_from_json_as_it_was(label):
    result = some()[label]
    assert from_json(to_json(result)) == result
    assert from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False))) == result


def test_a_result_that_holds_nan_is_not_written():
    with pytest.raises(ValueError, match="NaN"):
        to_json(TestResult(test="t", method="m", estimate=float("nan")))


@pytest.mark.parametrize("form", EXPORT_FORMATS)
def test_every_kind_of_result_has_a_row_in_every_format(form):
    for label, result in some().items():
        assert export(result, form)
        assert export({label: result}, form)
    whole = export(family(some(), name=NASTY), form)
    assert len(re.findall(r"zero\\?_variance", whole)) >= 2


def test_intervals_stand_with_their_own_level_and_open_side():
    table = export(some(), "markdown")
    plain, one_sided = some()["plain"].interval, some()["one-sided at 99 %"].interval
    assert f"\\[{plain.low:.4g}".replace("-", "−") in table
    assert "95 %" in table
    assert "99 %" in table
    assert one_sided.high is None
    assert "∞) 99 %" in table


def test_a_p_value_that_no_double_holds_is_no_zero():
    result = some()["underflow"]
    assert result.p_value == 0.0
    assert re.search(r"\d(\.\d+)?e-\d{4,}", export(result, "markdown"))
    assert written_p(0.0, -1270.2849271041148) == "2.1e-552"
    assert written_p(1e-5) == "1e-5"
    assert written_p(None) == "–"
    assert written_p(0.0, -10 * 2.302585092994046) == "1e-10"


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (0.95, "95 %"),
        (0.999, "99.9 %"),
        (1 - 0.05 / 3, "98.33 %"),
        (1 - 0.05 / 9999, "99.999500 %"),
        (0.5, "50 %"),
        (1 - 1e-12, "99.999999999900 %"),
    ],
)
def test_a_level_is_never_rounded_to_all(level, text):
    assert percent(level) == text


def test_no_small_number_is_rounded_to_zero():
    table = export(t_welch([value * 1e-12 for value in A], [value * 1e-12 for value in B]), "markdown")
    assert "−9e-13" in table or "−1e-12" in table
    assert "| 0 |" not in table


def test_texts_of_others_are_escaped():
    made = {form: export(family(some(), name=NASTY), form) for form in EXPORT_FORMATS}
    assert "<b>" not in made["html"]
    assert html.escape(NASTY) in made["html"]
    assert "<b>" not in made["markdown"]
    assert all(line.count("|") - line.count("\\|") > 3 for line in made["markdown"].splitlines()[2:] if line)
    assert "\\textless{}b\\textgreater{}" in made["latex"]
    assert not re.search(r"(?<!\\)[%&$#_](?!\})", made["latex"].replace(" & ", "  "))
    rows = list(csv.reader(io.StringIO(made["csv"], newline="")))
    assert rows[0][0] == "label"
    assert not any(cell.startswith(("=", "@")) for row in rows for cell in row)


def test_csv_and_json_hold_numbers_as_they_are():
    result = some()["plain"]
    (row, *_) = csv.DictReader(io.StringIO(export(result, "csv"), newline=""))
    assert float(row["p_value"]) == result.p_value
    assert float(row["low"]) == result.interval.low
    assert json.loads(export(result, "json"))["p_value"] == result.p_value
    (first, *_) = json.loads(export(family({"x": result, "y": some()["anova"]}), "json"))["tests"]
    assert first["p_adjusted"] == family({"x": result, "y": some()["anova"]}).member("x").p_adjusted


def test_a_family_counts_the_tests_that_have_a_p_value():
    made = family(some(), correction="bonferroni")
    counted = [member for member in made.members if member.result.p_value is not None]
    assert made.n_tests == len(counted) < len(made.members)
    assert made.member("plain").p_adjusted == pytest.approx(min(1.0, len(counted) * some()["plain"].p_value))
    assert made.member("constant").p_adjusted is None
    assert not made.member("constant").is_rejected
    with pytest.raises(KeyError):
        made.member("nothing")


GROUPS = {"groups": [A, B, [9.0, 8.0, 7.5]]}
POST_HOC = {
    "tukey": bench.tukey_hsd(**GROUPS, labels=["u", "v", "w"]),
    "games": bench.games_howell(**GROUPS, labels=["u", "v", "w"]),
    "dunnett": bench.dunnett([A, B], [9.0, 8.0, 7.5], labels=["u", "v", "w"]),
    "dunn": bench.dunn(**GROUPS, names=["u", "v", "w"]),
}


def rows_of(what):
    return list(csv.DictReader(io.StringIO(export(what, "csv"), newline="")))


@pytest.mark.parametrize("name", POST_HOC)
def test_each_pair_of_a_post_hoc_test_is_a_line_of_csv(name):
    result = POST_HOC[name]
    rows = {row["label"]: row for row in rows_of(result)}
    assert len(rows) == 1 + len(result.comparisons)
    for pair in result.comparisons:
        row = rows[f"{pair.first} − {pair.second}"]
        assert (float(row["estimate"]), float(row["p_value"])) == (pair.estimate, pair.p_value)
        assert (float(row["ln_p"]), float(row["p_adjusted"])) == (pair.ln_p, pair.p_value)
        if pair.interval is not None:
            assert (float(row["low"]), float(row["high"])) == (pair.interval.low, pair.interval.high)


@pytest.mark.parametrize("form", EXPORT_FORMATS)
@pytest.mark.parametrize("name", POST_HOC)
def test_each_pair_of_a_post_hoc_test_stands_in_every_format(name, form):
    one, all_of_them = export(POST_HOC[name], form), export(family(POST_HOC), form)
    for pair in POST_HOC[name].comparisons:
        for ends in (pair.first, pair.second):
            assert ends in one
        if form == "json":
            assert repr(pair.estimate) in one
        else:
            minus = r"\(-\)" if form == "latex" else "−"
            assert f"{pair.first} {minus} {pair.second}" in one
            assert f"{name}: {pair.first} {minus} {pair.second}" in all_of_them


KINDS = {
    "compared": bench.compare(A, B, margin=1.0),
    "arms": bench.compare_multiple({"u": A, "v": B, "w": [9.0, 8.0, 7.5]}),
    "estimate": bench.mean_interval(A),
    "effect": bench.cohens_d(A, B),
    "effects": bench.effect_sizes(A, B),
    "power": bench.power_t_independent(0.5, 20),
    "bayes": bench.bayes_factor_t(A, B),
    "evaluation": bench.evaluation_interval(A, question=[0, 0, 1, 1, 2]),
    "evaluation power": bench.evaluation_power(omega2=0.1, delta=0.1, power=0.8),
    "pass rate": bench.pass_at_k([5, 6], [2, 3], 2),
    "description": bench.describe(A),
    "split": bench.variance_split(A, [0, 0, 1, 1, 2]),
    "evidence": bench.msprt(10, 0.5, sigma2=1.0, tau2=1.0),
    "state": bench.NormalMixture.start(sigma=1.0, rho=1.0).update(3.0),
    "adjustment": bench.adjust([0.01, 0.04]),
}


@pytest.mark.parametrize("form", EXPORT_FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_can_be_exported(kind, form):
    alone, beside = export(KINDS[kind], form), export({7: KINDS[kind], "test": some()["plain"]}, form)
    assert len(alone) > 20
    assert "7" in beside
    if form == "json":
        assert json.loads(beside)[0]["label"] == "7"


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_a_comparison_is_exported_with_its_conclusion(form):
    for kind in ("compared", "arms"):
        assert "is not shown to differ" in export(KINDS[kind], form) or "pairs" in export(KINDS[kind], form)


def test_numbers_of_a_kind_stand_in_its_row():
    (power,), (bayes,) = rows_of(KINDS["power"]), rows_of(KINDS["bayes"])
    assert f"power={KINDS['power'].power!r}" in power["details"]
    assert float(power["estimate"]) == 0.5
    assert f"bf10={KINDS['bayes'].bf10!r}" in bayes["details"]
    tests = dict.fromkeys(row["test"] for row in rows_of(KINDS["compared"]))  # a row for each effect size
    assert list(tests) == ["t_welch", "mannwhitney", "permutation_independent", "tost"]
    labels = dict.fromkeys(row["label"] for row in rows_of(KINDS["arms"]))
    assert list(labels) == ["u − v", "u − w", "v − w", "all arms", "u", "v", "w"]


@pytest.mark.parametrize("value", [None, 5, "text", [1.0], {"x": 5}, {"x": {"y": None}}, len])
def test_what_is_no_result_is_refused_and_the_kinds_are_named(value):
    with pytest.raises(StatisticsError, match=r"can't be exported.*TestResult, Family, Compared") as caught:
        export(value, "pdf")
    assert {problem.path.split("[")[0] for problem in caught.value.problems} == {"form", "what"}


def test_a_p_value_that_no_double_holds_is_no_zero_in_csv_and_json():
    result = some()["underflow"]
    both = family({"far": result, "near": some()["plain"]})
    row, *_ = rows_of(both)
    decimal = re.compile(r"\d\.\d{5,}e-\d{3,}")
    assert decimal.fullmatch(row["p_value"])
    assert decimal.fullmatch(row["p_adjusted"])
    plain = json.loads(export(both, "json"))["tests"][0]
    assert (plain["p_value"], plain["p_adjusted"]) == (row["p_value"], row["p_adjusted"])
    assert from_json(to_json(result)) == result
    assert float(Decimal(plain["p_value"]).ln()) == pytest.approx(result.ln_p, rel=1e-14)


def test_a_pair_whose_p_value_no_double_holds_comes_back():
    far = [value * 1e-9 for value in A] * 400
    result = bench.tukey_hsd([far, [value + 1 for value in far], B])
    lost = [pair for pair in result.comparisons if pair.p_value == 0.0]
    assert lost
    assert from_json(to_json(result)) == result
    assert not re.search(r'"p_value": 0\.0\b', to_json(result))


def test_one_test_is_no_tests():
    assert "1 test, corrected by holm" in export(family({"x": some()["plain"]}), "html")


def test_an_unknown_format_is_refused():
    with pytest.raises(StatisticsError, match="one of markdown, latex, html, json, csv"):
        export(t_welch(A, B), "pdf")
