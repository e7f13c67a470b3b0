"""An adapter as a remote one is built: work is queued, results are futures, a key is needed. It trains for real."""

import concurrent.futures
import os
import threading

from crucible.adapters import Capabilities
from crucible.adapters.local import LocalAdapter, LocalOptions
from crucible.errors import AdapterError, TransientError

KEY_VARIABLE = "QUEUED_ADAPTER_KEY"


class QueuedResult:
    def __init__(self, future):
        self._future = future

    def result(self, timeout_s=None):
        try:
            return self._future.result(timeout_s).result()
        except concurrent.futures.TimeoutError as error:
            raise TransientError("no answer in time; ask again") from error


class QueuedAdapter:
    name = "queued"
    summary = "trains behind a queue, as a remote service would"
    simulated = False
    capabilities = Capabilities(
        can_train=True, can_predict=True, can_resume=True, is_deterministic=True, is_remote=True
    )
    options = LocalOptions

    def __init__(self, gate=None):
        self._key = os.environ[KEY_VARIABLE]
        self._gate = gate or threading.Event()
        if gate is None:
            self._gate.set()

    def open(self, request):
        return QueuedSession(LocalAdapter().open(request), self._gate)

    def load(self, request, folder):
        return QueuedSession(LocalAdapter().load(request, folder), self._gate)


class QueuedSession:
    def __init__(self, inner, gate):
        self._inner = inner
        self._gate = gate
        self._queue = concurrent.futures.ThreadPoolExecutor(1)
        self._is_open = True

    @property
    def step(self):
        return self._inner.step

    def describe(self):
        return {**self._inner.describe(), "adapter": "queued"}

    def forward_backward(self, batch):
        return self._submit(self._inner.forward_backward, batch)

    def optimizer_step(self, learning_rate):
        return self._submit(self._inner.optimizer_step, learning_rate)

    def predict(self, inputs):
        return self._submit(self._inner.predict, inputs)

    def save(self, folder, *, with_optimizer=True):
        self._queue.submit(self._inner.save, folder, with_optimizer=with_optimizer).result()

    def close(self):
        self._is_open = False
        self._queue.shutdown(wait=True)
        self._inner.close()

    def _submit(self, work, *args):
        if not self._is_open:
            raise AdapterError("the session is closed")
        return QueuedResult(self._queue.submit(self._in_turn, work, *args))

    def _in_turn(self, work, *args):
        self._gate.wait(30)
        return work(*args)
