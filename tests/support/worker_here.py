"""An executor that does a worker's training in the test's own process.

For tests of what a worker computes and reports, with backends that are plain Python.
"""

import importlib
from collections.abc import Callable

from backends.api import Backend
from bench.run.executor import WorkerEnd
from bench.run.launch import Launch
from bench.worker.protocol import Event, Imported, TrainTask
from bench.worker.training import train


class WorkerHere:
    """An `Executor` of training tasks that starts no process."""

    def run(
        self, task: TrainTask, launch: Launch, timeout: float, on_event: Callable[[Event], None]
    ) -> WorkerEnd:
        """See `Executor.run`."""
        module, name = task.adapter.split(":")
        backend: Backend = getattr(importlib.import_module(module), name)(task.threads)
        on_event(Imported(backend.versions(), None))
        train(task, backend, on_event)
        return WorkerEnd(0, False, "", dict(launch.variables))
