"""Find the rank that is enough to read digits that lie on their side.

A network that has learned upright digits stays as it is; low-rank adapters on it learn the same digits turned by 90
degrees. 4 learning rates x 5 ranks x 10 repeats: 200 small trainings, for real, on this machine's processor.

    crucible run digits_lora.py -j 2
"""

import crucible as cr

experiment = cr.Experiment(
    "digits_lora",
    description="Low-rank adapters teach a frozen network of upright digits to read turned ones",
    tags=["example", "lora"],
    adapter="local",
    seed=7,
    repeat=10,
    parameters={"train.learning_rate": [3e-4, 1e-3, 3e-3, 3e-2], "train.rank": [1, 2, 4, 8, 16]},
    stages=[
        cr.builtin_stage("train", options={"dataset": "digits_rotated", "alpha": 32.0, "epochs": 20, "batch_size": 64}),
        cr.builtin_stage("eval", options={"dataset": "digits_rotated"}, inputs={"adapter": "train.adapter"}),
        cr.builtin_stage("analysis"),  # once, when all runs have ended: which cells differ, and which is best?
    ],
    select="val/accuracy",  # the best cell is chosen on the validation split,
    quality_targets={"test/accuracy": cr.at_least(0.95)},  # and judged on the test split, once
    margin=0.015,  # a difference in accuracy that does not matter: which rank is enough?
)

if __name__ == "__main__":
    print(experiment.run(jobs=2).runs.df())
