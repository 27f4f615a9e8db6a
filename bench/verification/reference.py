"""The reference's answers: NumPy in float64, made once for a case and kept for all contenders."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from backends.api import Device, Gradients, Session, Workload
from backends.numpy.backend import NumpyBackend
from bench import cache
from bench.spec.training import Optimizer, Sgd
from bench.spec.weights import FloatArray, Weights
from bench.verification.case import CALLS, STEPS, Case, rates
from bench.verification.sources import digest_of

CPU = Device("cpu")

# The weights after 1, 10 and 50 steps.
Trajectory = dict[int, Weights]


class Answers(NamedTuple):
    """What a session makes of a case's first batch, before any step."""

    inference: FloatArray
    gradients: Gradients

    @property
    def loss(self) -> FloatArray:
        """The loss as an array of one value."""
        return np.array([self.gradients.loss])


class Reference(NamedTuple):
    """All that the reference makes of a case: its answers, and a trajectory for each optimizer."""

    answers: Answers
    trajectories: dict[str, Trajectory]


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
    batch = case.batches[0]
    return Answers(session.predict(case.images[batch]), session.gradients(batch))


def trajectory(session: Session, case: Case, optimizer: Optimizer) -> Trajectory:
    """The weights after 1, 10 and 50 steps.

    Trained in calls of one step up to the tenth and of ten steps from there: both forms of a loop
    are run, and a backend that compiles for a number of steps compiles for two.
    """
    every_rate, weights, done = rates(optimizer), {}, 0
    for steps in CALLS:
        ending = done + steps
        session.train(case.batches[done:ending], every_rate[done:ending])
        done = ending
        if done in STEPS:
            weights[done] = session.weights()
    return weights


def make_reference(case: Case, optimizers: Mapping[str, Optimizer]) -> Reference:
    """Run the reference on the case, once with each optimizer."""
    trajectories = {
        name: trajectory(reference_session(case, rule), case, rule)
        for name, rule in optimizers.items()
    }
    return Reference(answers(reference_session(case, Sgd()), case), trajectories)


def reference_for(
    case: Case, optimizers: Mapping[str, Optimizer], folder: Optional[Path]
) -> Reference:
    """The case's reference from the folder, else made and, where that can be written, kept.

    Every contender is compared with the same numbers; the reference takes longer than some of
    them. A file's name holds the digest of all that its content depends on.
    """
    if folder is None:
        return make_reference(case, optimizers)
    path = folder / f"{_key(case, optimizers)}.npz"
    # A file that is cut off or not an archive is made anew, whatever happened to it.
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return _load(path)
    made = make_reference(case, optimizers)
    with contextlib.suppress(OSError):
        _save(path, made)
    return made


def _key(case: Case, optimizers: Mapping[str, Optimizer]) -> str:
    sources = digest_of("backends.numpy", "bench.spec", "bench.verification")
    model = case.model
    return cache.digest(model.layer, model.input_shape, optimizers, sources, np.__version__)


def _save(path: Path, reference: Reference) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with cache.replacing(path) as file:
        np.savez(file, **_flat(reference))  # type: ignore[arg-type]


def _flat(reference: Reference) -> dict[str, FloatArray]:
    arrays = {
        "inference": reference.answers.inference,
        "logits": reference.answers.gradients.logits,
        "loss": reference.answers.loss,
    }
    for name, value in reference.answers.gradients.weights.items():
        arrays[f"gradients|{name}"] = value
    for optimizer, reached in reference.trajectories.items():
        for steps, weights in reached.items():
            for name, value in weights.items():
                arrays[f"{optimizer}|{steps}|{name}"] = value
    return arrays


def _load(path: Path) -> Reference:
    gradients: Weights = {}
    trajectories: dict[str, Trajectory] = {}
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        for key in arrays.files:
            kind, *rest = key.split("|")
            if kind == "gradients":
                gradients[rest[0]] = arrays[key]
            elif rest:
                reached = trajectories.setdefault(kind, {}).setdefault(int(rest[0]), {})
                reached[rest[1]] = arrays[key]
        first = Gradients(arrays["logits"], float(arrays["loss"][0]), gradients)
        return Reference(Answers(arrays["inference"], first), trajectories)
