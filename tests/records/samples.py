"""Records for tests to change a field of."""

from crucible.records import CheckpointSaved, MetricBatch, PredictionBatch, StageClaimed, StageCompleted, StageHeartbeat

HEADER = {
    "event_id": "e",
    "occurred_at_us": 1,
    "actor": "test",
    "causation_id": None,
    "correlation_id": None,
    "traceparent": None,
}
CLAIM = {"run_id": "r", "stage": "fit", "attempt": 1, "claim_id": "c"}
SPOOL = {"spool_id": "c.m", "first_sequence": 0}


def claimed(**fields):
    return StageClaimed(**{**HEADER, **CLAIM, "worker_id": "w", "host": "h", "lease_ms": 15_000, **fields})


def heartbeat(**fields):
    return StageHeartbeat(**{**HEADER, **CLAIM, "beat": 1, "step": 2, "telemetry_end": {"c.m": 4}, **fields})


def checkpoint_saved(**fields):
    files = [{"path": "model.npz", "size_bytes": 3, "sha256": "ab"}]
    return CheckpointSaved(
        **{**HEADER, **CLAIM, "step": 2, "digest": "d", "files": files, "telemetry_end": {}, **fields}
    )


def stage_completed(**fields):
    metric = {
        "name": "val/accuracy",
        "value": 0.5,
        "unit": "ratio",
        "items": 10,
        "origin": "measured",
        "kind": "reproducible",
        "definition": None,
    }
    end = {"metrics": [metric], "duration_ms": 3.5, "is_simulated": False, "telemetry_end": {"c.m": 4}}
    return StageCompleted(**{**HEADER, **CLAIM, **end, **fields})


def metric_batch(**fields):
    columns = {
        "names": ["loss", "accuracy"],
        "name_index": [0, 1, 0],
        "step": [1, 1, 2],
        "time_us": [5, 6, 7],
        "value": [0.1, float("inf"), 0.3],
    }
    return MetricBatch(**{**HEADER, **CLAIM, **SPOOL, **columns, **fields})


def prediction_batch(**fields):
    columns = {
        "split": ["test", "test"],
        "item_id": ["1", "2"],
        "score": [1.0, None],
        "label": ["cat", None],
        "prediction": ["cat", "dog"],
        "time_us": [5, 6],
        "texts_blob": None,
        "texts_bytes": 0,
        "is_simulated": False,
    }
    return PredictionBatch(**{**HEADER, **CLAIM, **SPOOL, **columns, **fields})
