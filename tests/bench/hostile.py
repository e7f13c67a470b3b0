"""A valid call of every public function of `crucible.bench`, and values that nobody should give to it."""

import decimal
import fractions
import inspect

import numpy as np

from crucible import bench

A = [1.0, 2.5, 3.0, 4.5, 6.0, 5.5]
B = [2.0, 1.5, 5.0, 6.5, 7.0, 9.0]
C = [3.0, 2.0, 8.0, 7.5, 6.0, 9.5]
ARMS = {"u": A, "v": B, "w": C}
BINARY = [0, 1, 0, 1, 1, 0]
RIGHT = [[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 1]]
CLUSTERS = [0, 0, 1, 1, 2, 2]
SHOWN = bench.t_welch(A, B)

BY_NAME = {
    "a": A, "b": B, "x": A, "y": B, "values": A, "scores": A, "scores_a": A, "scores_b": B, "groups": [A, B, C],
    "control": C, "treatment": A, "clusters": CLUSTERS, "question": CLUSTERS, "labels": BINARY,
    "table": [[8, 3], [2, 7]], "blocks": [A, B, C], "arms": ARMS, "configurations": ARMS, "baseline": A,
    "without": {"u": B, "v": C}, "p_values": [0.01, 0.04], "k": 3, "n": 10, "k1": 3, "n1": 10, "k2": 5, "n2": 12,
    "successes": 3, "failures": 4, "samples": [5, 6, 7], "passed": [2, 3, 4], "effect": 0.8, "p_a": 0.3, "p_b": 0.5,
    "sigma": 1.0, "rho": 2.0, "mean": 0.4, "sigma2": 1.0, "tau2": 0.5, "sigma_a": 1.0, "margin": 1.0, "low": -1.0,
    "high": 1.0, "omega2": 0.1, "delta": 0.1, "power": 0.8, "null": 0.4, "result": SHOWN, "what": SHOWN, "form": "csv",
    "text": bench.to_json(SHOWN), "results": {"u": SHOWN}, "value": 0.5, "n_resamples": 20, "seed": 1,
}  # fmt: skip
"""A value of each parameter that has no default, and of those that would take long."""
OWN = {
    "cochran_q": {"blocks": RIGHT},
    "evaluation_power": {"n": None, "power": 0.8},
    "evaluation_interval": {"seed": None},
    "evaluation_difference": {"seed": None},
    "power_anova": {"groups": 3},
    "sample_size_anova": {"groups": 3},
    "minimal_effect_anova": {"groups": 3},
    "pass_at_k": {"k": 2},
    "pass_hat_k": {"k": 2},
    "input_digest": {"samples": A},
    "recorded": {"samples": A},
    "tost": {"low": -9.0, "high": 9.0},
}  # fmt: skip
DRAWN = {"n_resamples", "seed", "margin", "n", "delta"}
"""Parameters that are given although they have a default."""


def public_functions():
    """Functions and constructors of states by name."""
    found = {}
    for name in bench.__all__:
        value = getattr(bench, name)
        if inspect.isfunction(value):
            found[name] = value
        elif hasattr(value, "start"):
            found[f"{name}.start"] = value.start
    return found


def valid_call(name, function):
    """Arguments with which it answers."""
    parameters = inspect.signature(function).parameters
    own = OWN.get(name, {})
    return {
        each.name: own.get(each.name, BY_NAME[each.name])
        if each.default is each.empty or (each.name in DRAWN and each.name not in own)
        else own.get(each.name, each.default)
        for each in parameters.values()
    }


def called(function, arguments):
    """What it answers."""
    plain = dict(arguments)
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.VAR_KEYWORD:
            plain = {**plain, "values": plain.pop(each.name)}
    return function(**plain)


def hostile_values():
    """Values by what they are; made anew each time, as some can be used once."""
    return {
        "None": None, "zero": 0, "one": 1, "minus one": -1, "a half": 0.5, "much": 1e12, "huge": 1e308,
        "huge below": -1e308, "tiny": 5e-324, "more than a double": 10**400, "digits": 10**5000, "NaN": float("nan"),
        "infinity": float("inf"), "minus infinity": -float("inf"), "true": True, "false": False, "text": "abc",
        "no text": "", "bytes": b"abc", "JSON": "[1]", "complex": 1j, "decimal": decimal.Decimal("0.5"),
        "fraction": fractions.Fraction(1, 3), "huge fraction": fractions.Fraction(10**400), "object": object(),
        "function": len, "class": int, "no list": [], "list": [1.0], "list of NaN": [float("nan")] * 6,
        "infinite list": [float("inf")] * 6, "constant list": [1.0] * 6, "huge list": [1e308, -1e308] * 3,
        "tiny list": [5e-324, 0.0] * 3, "list of texts": ["a"] * 6, "list of lists": [["a"], ["b"]],
        "list of no lists": [[], []], "ragged": [[1.0], [1.0, 2.0]], "list of None": [None] * 6,
        "list of huge": [10**400] * 6, "list of objects": [object()] * 6, "list of results": [SHOWN],
        "tuple": (1.0, 2.0), "tuple of texts": ("a", "b"), "tuple of lists": (["a"], ["b"]), "tuple of None": (None,) * 2,
        "set": {1.0, 2.0}, "no mapping": {}, "mapping": {"u": 0.05}, "mapping of None": {"u": None, "v": None},
        "mapping of generators": {"u": iter(A), "v": iter(B)}, "mapping of texts": {"u": "abc", "v": "abc"},
        "mapping by numbers": {1: A, 2: B}, "mapping of results": {1: SHOWN}, "mapping of mappings": {"u": {1: 2.0}, "v": {1: "a"}},
        "generator": iter(A), "range": range(6), "array": np.array(A), "array of texts": np.array(["a", "b"]),
        "array of objects": np.array([None, {}], dtype=object), "table": np.ones((2, 2)), "cube": np.ones((2, 2, 2)),
        "no array": np.empty(0), "0-d array": np.array(0.5), "0-d whole": np.array(2), "masked": np.ma.masked_array(A, [0, 1, 0, 0, 0, 0]),
        "int64": np.int64(3), "float32": np.float32(0.5), "NumPy's bool": np.bool_(True), "NumPy's text": np.str_("abc"),
        "NumPy's date": np.datetime64("2020-01-01"), "dates": np.array(["2020-01-01"] * 6, dtype="datetime64[D]"), "result": SHOWN,
    }  # fmt: skip
