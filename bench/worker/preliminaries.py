"""Measure a backend's peak rates and make certificates, in one process.

The framework is imported once for all contenders of the backend that can share a process.
"""

from __future__ import annotations

import gc
import traceback
from itertools import groupby
from pathlib import Path
from time import perf_counter

from backends.api import Backend, Device, Unsupported
from bench.spec.job import Job
from bench.verification.certificate import UNSUPPORTED
from bench.verification.certify import Subject, certify
from bench.worker.peak import measure_peak_rates
from bench.worker.process import peak_memory
from bench.worker.protocol import CheckBegan, Checked, Devices, Emit, Finished, PreliminaryTask
from bench.worker.training import find_device


def run_preliminaries(task: PreliminaryTask, backend: Backend, emit: Emit) -> None:
    """Measure the peak rates, then check every job of the task.

    The task ends early after a contender that raised an error: the framework may then be in a state
    that affects other contenders.
    """
    # Reported first, so that an absent device can be distinguished from other errors.
    emit(Devices({each.name: each.title for each in backend.devices()}))
    device = find_device(backend, task.device)
    if task.peak_rates:
        emit(measure_peak_rates(backend, device))
    for _, jobs in groupby(task.jobs, key=Job.with_any_model):
        gc.collect()  # frees what the sessions of the previous contender keep in cycles
        limit = task.contender_seconds
        has_raised = False
        for job in jobs:
            emit(CheckBegan(job, limit))
            checked = _check(task, backend, device, job)
            emit(checked)
            limit = None
            has_raised = has_raised or checked.has_raised
        if has_raised:
            break
    emit(Finished(peak_memory(), None))


def _check(task: PreliminaryTask, backend: Backend, device: Device, job: Job) -> Checked:
    """Check one model; an error is part of the result."""
    start = perf_counter()
    model = task.models[job.model]
    references = Path(task.references) if task.references else None
    try:
        subject = Subject(backend, device, job.mode, job.precision, job.world_size)
        checks = certify(subject, model.layer, model.input_shape, model.optimizers, references)
    except Unsupported as error:
        return Checked(job, (), perf_counter() - start, f"{UNSUPPORTED}{error}")
    except Exception as error:
        if task.group is not None:  # the other processes may be waiting in a collective operation
            raise
        traceback.print_exc()
        return Checked(job, (), perf_counter() - start, f"{type(error).__name__}: {error}"[:500])
    return Checked(job, checks, perf_counter() - start)
