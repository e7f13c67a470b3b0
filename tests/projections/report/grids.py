"""Logs whose reports hold everything that a report can hold, and names that try to break out of it."""

import contextlib

from crucible.place import Place
from crucible.projections.readmodel import Projector
from crucible.projections.report.ledger import CursorReader
from crucible.projections.report.writing import make_report
from tests.projections.declared import ASKED, add_analysis, declared, seeded
from tests.projections.history import History, memory_journal

HOSTILE = (
    "=HYPERLINK(\"x\",'y')",
    "+1+1|calc",
    "-2 <script>alert(1)</script>",
    "@SUM(A1) </style><img src=x onerror=alert(2)>",
    "\t{{7*7}} {% raw %} \\input{/etc/passwd} $x^2$ 100% #1 & _a_ ~b",
    "a|b `c` **d** [e](javascript:f) \n# head\n- item 'it''s' \"q\" 7 emoji 🙂 ∑",
)
TINY = 3.2e-9


def grid(environment=None):
    """Two numeric parameters, two repeats; one run fails, one is retried, one is taken over, one number is no number."""
    history = History(memory_journal())
    history.submit(8, environment, description="Made for 8 tests", quality_targets={"test/accuracy": {"at_least": 0.5}})
    number = 0
    for cell, (rate, rank) in enumerate([(0.01, 4), (0.01, 8), (0.1, 4), (0.1, 8)]):
        params = {"fit.learning_rate": rate, "fit.rank": rank}
        for repeat in (1, 2):
            number += 1
            run = f"r{number}"
            if number == 8:
                fail(history, run, cell, repeat, params)
                continue
            losses = [3.0 / rank, 2.0 / rank + repeat * 0.01, TINY if cell == 1 else 1.0 / rank]
            history.whole_run(
                run,
                cell=cell,
                repeat=repeat,
                params=params,
                losses=losses,
                accuracy=TINY * number if cell == 2 else 0.8 + 0.01 * number,
                scores=(1.0, 0.0, 1.0, 1.0 if repeat == 1 else 0.5),
            )
    rng = seeded()
    groups = ["rate=0.01", "rate=0.1"]
    again = ASKED.model_copy(update={"test": "wilcoxon", "family": "later"})
    add_analysis(history, "x1", [declared(rng, label=f"{place}", groups=groups) for place in range(8)])
    history.close(7, 1)
    later = declared(rng, groups=groups, asked=again, family="later", correction="none")
    add_analysis(history, "x2", [later], label="_analysis")
    history.add("TagsChanged", subject_kind="submission", subject_id="s1", added=["paper"], removed=[])
    history.add("NoteAdded", subject_kind="submission", subject_id="s1", text="seen on day 3")
    return history


def fail(history, run, cell, repeat, params):
    """A run whose first stage fails for good, after a second attempt."""
    history.create(run, cell=cell, repeat=repeat, params=params)
    history.start(run)
    for attempt in (1, 2):
        claim = f"{run}-f{attempt}"
        history.request(run, attempt=attempt)
        history.claim(run, claim, attempt=attempt)
        history.add(
            "StageFailed",
            **history.where(run, claim, "fit", attempt),
            error_class="transient",
            error_type="ValueError",
            message=f"row 17 of {run} is <b>wrong</b>",
            is_retryable=attempt == 1,
        )
    history.add("RunFailed", run_id=run, generation=1, stage="fit", reason=f"fit: row 17 of {run} is <b>wrong</b>")


def hostile():
    """The same words as names of experiment, label, parameter, metric, dataset, tag, note, reason and description."""
    history = History(memory_journal(), experiment=HOSTILE[3])
    metrics = {name: {"unit": name, "better": "higher", "kind": "reproducible"} for name in HOSTILE}
    history.submit(
        len(HOSTILE),
        description=" ".join(HOSTILE),
        select=HOSTILE[0],
        stages=[{"name": "fit", "metrics": metrics}],
        quality_targets={HOSTILE[1]: {"at_least": 0.5}},
    )
    for cell, name in enumerate(HOSTILE):
        run = f"r{cell}"
        history.create(run, cell=cell, label=name, params={HOSTILE[2]: name}, stages=("fit",))
        history.start(run)
        history.request(run)
        history.claim(run, f"{run}-c")
        history.points(run, f"{run}-c", [1.0, 2.0, float("nan")], name=HOSTILE[4])
        history.add(
            "DatasetUsed",
            **history.where(run, f"{run}-c"),
            name=name,
            digest="d" * 64,
            items={"train": 7} if cell else {"=1": 7},
            source_json="{}",
        )
        if cell == 5:
            history.add("StageFailed", **history.where(run, f"{run}-c"), error_class="permanent", message=name)
            history.add("RunFailed", run_id=run, generation=1, stage="fit", reason=name)
        else:
            values = {metric: float("inf") if cell == 1 else 0.5 + cell / 100 for metric in HOSTILE}
            history.complete(run, f"{run}-c", metrics=values, is_simulated=True)
            history.finish(run)
    rng = seeded()
    names = [
        declared(rng, label=name, groups=(name, name), metric=name, family=name, conclusion=f"{name} beats {name}.")
        for name in HOSTILE
    ]
    add_analysis(history, "x1", names)
    history.close(5, 1)
    for name in HOSTILE:
        history.add("TagsChanged", subject_kind="submission", subject_id="s1", added=[name], removed=[])
        history.add("NoteAdded", subject_kind="submission", subject_id="s1", text=name)
    return history


def limited():
    """A run that was taken over, and a submission with budgets and a breaker."""
    history = History(memory_journal())
    history.submit(
        1,
        budget={"time_s": 3600.0, "cost": {"metric": "val/accuracy", "max": 10.0}, "runs": 3},
        breaker={"window_runs": 10, "failed_rate": 0.5, "min_runs": 2},
        repeat=1,
    )
    history.takeover("r1")
    history.close(1)
    return history


@contextlib.contextmanager
def model_of(history, folder):
    """A judged read model of a history."""
    with contextlib.closing(Projector(history.journal, Place(folder / "model"))) as model:
        model.catch_up()
        yield model


def report_of(history, folder, kind="submission", subject_id="s1"):
    with model_of(history, folder) as model, contextlib.closing(model.cursor()) as cursor:
        return make_report(
            CursorReader(cursor), kind, subject_id, position=str(model.position), log_id=history.journal.log_id
        )


def items():
    """One run: its items are all there is for an interval."""
    history = History(memory_journal())
    history.submit(1, repeat=1, select="test/accuracy")
    history.create("r1", stages=("score",))
    history.start("r1")
    history.request("r1", "score")
    history.claim("r1", "r1-c", "score")
    history.predictions("r1", "r1-c", (1.0, 0.0, 1.0))
    history.predictions("r1", "r1-c", (0.0, 1.0, 1.0, 1.0), first=2)
    history.complete("r1", "r1-c", "score", metrics={"test/accuracy": 5 / 6}, definition="mean_score(test)")
    history.finish("r1")
    history.close(1)
    return history
