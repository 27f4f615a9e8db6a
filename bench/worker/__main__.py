"""Run one task: read it from standard input, write events to the file descriptor in argv[1].

A task with rounds is followed by commands.

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
from bench.worker.preliminaries import run_preliminaries
from bench.worker.process import age, bind_to, end_with_parent, resident_memory
from bench.worker.protocol import (
    ClockTask,
    Devices,
    Emit,
    Event,
    Failed,
    Imported,
    PhaseBegan,
    PhaseEnded,
    PreliminaryTask,
    Probe,
    Task,
    decode_command,
    decode_task,
    encode,
)
from bench.worker.training import train
from bench.worker.turns import take_turns

_MAX_REASON = 500  # characters, since tables show the reason; the log contains the whole message


def main() -> int:
    """Run the task.

    Returns:
        The exit status: 0 if the task succeeded or diverged, 1 if it failed.
    """
    end_with_parent()
    faulthandler.enable()
    events = os.fdopen(int(sys.argv[1]), "wb", buffering=0)

    def emit(event: Event) -> None:
        events.write(encode(event))

    task = decode_task(sys.stdin.buffer.readline())
    bind_to(task.cpus)
    backend = _import_backend(task, emit)
    if backend is None:
        return 1
    try:
        _run(task, backend, emit)
    except Exception as error:
        traceback.print_exc()
        emit(Failed(_outcome(error, backend), _reason(error)))
        return 1
    if not task.is_recorded:  # rank 0 may still need this process; the runner ends it
        signal.pause()
    return 0


def _import_backend(task: Task, emit: Emit) -> Optional[Backend]:
    """Import the framework and join the other processes; report a failure and return None."""
    emit(PhaseBegan("import"))
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
            emit(Failed("unavailable", f"the framework cannot be imported: {_reason(error)}"))
        else:
            emit(Failed(_outcome(error, backend), _reason(error)))
        return None
    # Measured from the start of the process: every framework needs the interpreter and NumPy.
    emit(PhaseEnded("import", age() or perf_counter() - start))
    emit(Imported(versions, resident_memory()))
    return backend


def _run(task: Task, backend: Backend, emit: Emit) -> None:
    """Call the function of the task."""
    if isinstance(task, Probe):
        emit(Devices({device.name: device.title for device in backend.devices()}))
    elif isinstance(task, PreliminaryTask):
        run_preliminaries(task, backend, emit)
    elif isinstance(task, ClockTask):
        check_clock(task, backend, emit)
    elif task.rounds is not None:
        take_turns(task, task.rounds, backend, emit, map(decode_command, sys.stdin.buffer))
    else:
        train(task, backend, emit)


def _outcome(error: Exception, backend: Optional[Backend]) -> str:
    """Return the outcome of a task that raised the error."""
    if isinstance(error, Unsupported):
        return "unsupported"
    return "out_of_memory" if backend and backend.is_out_of_memory(error) else "failed"


def _reason(error: Exception) -> str:
    """Return the error in one line of limited length."""
    text = str(error).strip()
    if isinstance(error, Unsupported):
        return text[:_MAX_REASON]
    return f"{type(error).__name__}: {text}"[:_MAX_REASON]


def _leave(status: int) -> NoReturn:
    """End the process at once.

    An orderly exit of a framework takes up to a second, only to free what the kernel frees anyway.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())
