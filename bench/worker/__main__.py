"""Run one task: read it from standard input, write events to the file descriptor in argv[1].

The framework's own output goes to standard output and error, apart from the events.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
import traceback
from time import perf_counter
from typing import NoReturn, Optional

from backends.api import Backend, Unsupported
from bench.worker.clock import check_clock
from bench.worker.peak import measure_peak_rates
from bench.worker.process import age, bind_to, end_with_parent, resident_memory
from bench.worker.protocol import (
    ClockTask,
    Devices,
    Event,
    Failed,
    Imported,
    PeakRateTask,
    PhaseBegan,
    PhaseEnded,
    Probe,
    Task,
    VerifyTask,
    decode_task,
    encode,
)
from bench.worker.training import Tell, train
from bench.worker.verify import verify

_LONGEST_REASON = 500  # characters: a reason stands in a table, the log holds the rest


def main() -> int:
    """The exit status: 0 when the task ended well or diverged, 1 when it failed."""
    end_with_parent()
    faulthandler.enable()
    events = os.fdopen(int(sys.argv[1]), "wb", buffering=0)

    def tell(event: Event) -> None:
        events.write(encode(event))

    task = decode_task(sys.stdin.buffer.readline())
    bind_to(task.cpus)
    backend = _imported(task, tell)
    if backend is None:
        return 1
    try:
        _run(task, backend, tell)
    except Exception as error:
        traceback.print_exc()
        tell(Failed(_outcome(error, backend), _reason(error)))
        return 1
    if not task.is_recorded:  # rank 0 may still need this process; the runner ends it
        signal.pause()
    return 0


def _imported(task: Task, tell: Tell) -> Optional[Backend]:
    """Import the framework and join the other processes; report a failure and return None."""
    tell(PhaseBegan("import"))
    start = perf_counter()
    backend: Optional[Backend] = None
    try:
        module, name = task.adapter.split(":")
        backend = getattr(importlib.import_module(module), name)(task.threads)
        if task.group is not None:  # before `versions`, which may start the framework's devices
            backend.join(task.group)
        versions = backend.versions()
    except Exception as error:
        traceback.print_exc()
        is_alone = backend is None or task.group is None
        if is_alone and not isinstance(error, Unsupported):
            tell(Failed("unavailable", f"the framework cannot be imported: {_reason(error)}"))
        else:
            tell(Failed(_outcome(error, backend), _reason(error)))
        return None
    # From the process's own start: NumPy and the interpreter are part of what each framework loads.
    tell(PhaseEnded("import", age() or perf_counter() - start))
    tell(Imported(versions, resident_memory()))
    return backend


def _run(task: Task, backend: Backend, tell: Tell) -> None:
    if isinstance(task, Probe):
        tell(Devices({device.name: device.title for device in backend.devices()}))
    elif isinstance(task, VerifyTask):
        verify(task, backend, tell)
    elif isinstance(task, PeakRateTask):
        measure_peak_rates(task, backend, tell)
    elif isinstance(task, ClockTask):
        check_clock(task, backend, tell)
    else:
        train(task, backend, tell)


def _outcome(error: Exception, backend: Optional[Backend]) -> str:
    if isinstance(error, Unsupported):
        return "unsupported"
    return "out_of_memory" if backend and backend.is_out_of_memory(error) else "failed"


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, Unsupported):
        return text[:_LONGEST_REASON]
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]


def _leave(status: int) -> NoReturn:
    """End without taking the framework down: up to a second for what the kernel frees anyway."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())
