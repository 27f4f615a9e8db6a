"""The reference's answers: NumPy in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backends.api import Device, Gradients, Session, Workload
from backends.numpy.session import NumpyBackend
from bench.spec.training import Optimizer
from bench.spec.weights import FloatArray, Weights
from bench.verification.case import STEPS, Case, rates

CPU = Device("cpu")


class Answers(NamedTuple):
    """What a session makes of a case's first batch, before any step."""

    inference: FloatArray
    gradients: Gradients

    @property
    def loss(self) -> FloatArray:
        """The loss as an array of one value."""
        return np.array([self.gradients.loss])


def reference_session(case: Case, optimizer: Optimizer) -> Session:
    """A session of the reference, in float64."""
    return NumpyBackend(1).session(workload(case, optimizer, CPU, "eager", "float64"))


def workload(
    case: Case, optimizer: Optimizer, device: Device, mode: str, precision: str
) -> Workload:
    """The case as a backend takes it."""
    return Workload(
        model=case.model,
        optimizer=optimizer,
        weights=case.weights,
        images=case.images,
        labels=case.labels,
        device=device,
        mode=mode,
        precision=precision,
    )


def answers(session: Session, case: Case) -> Answers:
    """Logits in inference mode, and one training pass, of the first batch."""
    return Answers(
        session.predict(case.images[case.batches[0]]), session.gradients(case.batches[0])
    )


def trajectory(session: Session, case: Case, optimizer: Optimizer) -> dict[int, Weights]:
    """The weights after 1, 10 and 50 steps."""
    reached, weights = 0, {}
    for steps in STEPS:
        session.train(case.batches[reached:steps], rates(optimizer)[reached:steps])
        weights[steps] = session.weights()
        reached = steps
    return weights
