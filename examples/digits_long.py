"""One longer training on the digits, with a checkpoint each second: something to kill, and to see resumed.

crucible run digits_long.py -j 1
"""

import crucible as cr

experiment = cr.Experiment(
    "digits_long",
    description="A single run of some ten to twenty seconds that saves a checkpoint each second",
    tags=["example", "lora"],
    adapter="local",
    seed=7,
    stages=[
        cr.builtin_stage(
            "train",
            options={
                "dataset": "digits_rotated",
                "rank": 16,
                "alpha": 32.0,
                "dropout": 0.1,
                "learning_rate": 1e-3,
                "schedule": "cosine",
                "batch_size": 64,
                "steps": 25_000,
            },
            checkpoint_every_s=1.0,
        ),
        cr.builtin_stage("eval", options={"dataset": "digits_rotated"}, inputs={"adapter": "train.adapter"}),
    ],
    select="val/accuracy",
    quality_targets={"test/accuracy": cr.at_least(0.95)},
)

if __name__ == "__main__":
    print(experiment.run(jobs=1).runs.df())
