"""Builds that must fail: the same rules with a protection taken out, to show that the simulation would notice."""

import ast
import importlib.machinery
import sys
from pathlib import Path

SABOTAGES = ("fencing", "dedup")
REPEATS = frozenset({"a repeat", "the command has its answer"})
"""Reasons of voids that keep a repeat from having an effect."""


class WithoutDedup(ast.NodeTransformer):
    """Takes out every guard against repeats."""

    def visit_If(self, node):
        self.generic_visit(node)
        match node.body[-1]:
            case ast.Return(value=ast.Call(func=ast.Name(id="Void"), args=[ast.Constant(value=reason), *_])) if (
                reason in REPEATS
            ):
                return None
        return node


class DedupFinder:
    """Imports the rules without their guards against repeats."""

    def find_spec(self, name, path, target=None):
        if not name.startswith("crucible.rules."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        with Path(spec.origin).open() as source:
            tree = WithoutDedup().visit(ast.parse(source.read()))
        code = compile(ast.fix_missing_locations(tree), spec.origin, "exec")
        spec.loader.get_code = lambda _name: code
        return spec


def apply(sabotage):
    """Take the protection out of this process. Before the rules are imported."""
    if any(name.startswith("crucible.rules.") for name in sys.modules):
        raise RuntimeError("the rules are imported already")
    if sabotage == "dedup":
        sys.meta_path.insert(0, DedupFinder())
    else:
        _take_out_fencing()


def _take_out_fencing():
    """A claim that has ended may still record and complete."""
    from crucible.rules import evolve_claim
    from crucible.rules.draft import Void

    def held(run, event):
        stage = run.stage(event.stage)
        attempts = [attempt for attempt in stage.attempts if attempt.number == event.attempt] if stage else []
        claims = [claim for attempt in attempts for claim in attempt.claims if claim.claim_id == event.claim_id]
        if not claims:
            return Void("no such claim")
        return evolve_claim._Held(stage, attempts[0], claims[0])

    evolve_claim._held = held
