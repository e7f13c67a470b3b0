"""Writes `cases.json`: `python -m tests.bench.oracle`, some three minutes."""

import json
import pathlib
import sys

FILE = pathlib.Path(__file__).with_name("cases.json")


def main():
    try:
        import mpmath
    except ImportError:
        sys.exit("writing the cases needs mpmath, which is no dependency of ours: pip install mpmath==1.4.1")
    from tests.bench.oracle import (
        correlations,
        designs,
        effects,
        evaluations,
        groups,
        large,
        means,
        ranks,
        resampling,
        tables,
    )

    families = (means, groups, effects, designs, ranks, tables, correlations, resampling, evaluations, large)
    cases = [case for family in families for case in family.cases()]
    names = [case["id"] for case in cases]
    assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})
    head = {
        "schema": "bench-reference/1",
        "generated_with": {"mpmath": mpmath.__version__, "digits": 60},
        "n_cases": len(cases),
    }
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    FILE.write_text(json.dumps(head)[:-1] + ', "cases": [\n' + lines + "\n]}\n", encoding="utf-8")
    print(f"{len(cases)} cases of {len({case['test'] for case in cases})} kinds in {FILE}")


if __name__ == "__main__":
    main()
