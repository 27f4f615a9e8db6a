"""Check a contender against the reference on each model of a task."""

from __future__ import annotations

import traceback
from pathlib import Path
from time import perf_counter

from backends.api import Backend, Unsupported
from bench.verification.certificate import UNSUPPORTED
from bench.verification.certify import Subject, certify
from bench.worker.process import peak_memory
from bench.worker.protocol import CheckBegan, Checked, Emit, Finished, ModelCheck, VerifyTask
from bench.worker.training import find_device


def verify(task: VerifyTask, backend: Backend, emit: Emit) -> None:
    """Check every model of the task, also if another one fails."""
    device = find_device(backend, task.job.device)
    subject = Subject(backend, device, task.job.mode, task.job.precision, task.job.world_size)
    for name, model in task.models.items():
        emit(CheckBegan(name))
        emit(_check(task, subject, name, model))
    emit(Finished(peak_memory(), None))


def _check(task: VerifyTask, subject: Subject, name: str, model: ModelCheck) -> Checked:
    """Check one model; an error is part of the result."""
    start = perf_counter()
    references = Path(task.references) if task.references else None
    try:
        checks = certify(subject, model.layer, model.input_shape, model.optimizers, references)
    except Unsupported as error:
        return Checked(name, (), perf_counter() - start, f"{UNSUPPORTED}{error}")
    except Exception as error:
        if task.group is not None:  # the other processes may be waiting in a collective operation
            raise
        traceback.print_exc()
        return Checked(name, (), perf_counter() - start, f"{type(error).__name__}: {error}"[:500])
    return Checked(name, checks, perf_counter() - start)
