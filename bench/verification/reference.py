"""Results of the reference, NumPy in float64. They are computed once per case and cached."""

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

# The weights after 1, 10 and 50 steps, by the number of steps.
Trajectory = dict[int, Weights]


class InitialResults(NamedTuple):
    """Results of a session on the first batch of a case, before any training step.

    Attributes:
        inference: (batch, classes) logits in inference mode.
        gradients: logits in training mode, loss and gradients.
    """

    inference: FloatArray
    gradients: Gradients

    @property
    def loss(self) -> FloatArray:
        """The loss: (1,)."""
        return np.array([self.gradients.loss])


class Reference(NamedTuple):
    """All results of the reference on a case.

    Attributes:
        initial: results before any training step.
        trajectories: weights during training, by the name of the optimizer.
    """

    initial: InitialResults
    trajectories: dict[str, Trajectory]


def reference_session(case: Case, optimizer: Optimizer) -> Session:
    """Create a session of the reference on the case."""
    return NumpyBackend(1).session(workload(case, optimizer, CPU, "eager", "float64"))


def workload(
    case: Case, optimizer: Optimizer, device: Device, mode: str, precision: str
) -> Workload:
    """Convert the case to the workload of a backend's session."""
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


def initial_results(session: Session, case: Case) -> InitialResults:
    """Compute the results on the first batch, without a training step."""
    batch = case.batches[0]
    return InitialResults(session.predict(case.images[batch]), session.gradients(batch))


def trajectory(session: Session, case: Case, optimizer: Optimizer) -> Trajectory:
    """Train 50 steps, and return the weights after 1, 10 and 50 of them.

    The first 10 steps are calls of one step, the others calls of 10 steps. This runs the session's
    loop with one and with several steps, and a backend that compiles for each number of steps
    compiles only twice.
    """
    learning_rates, weights, done = rates(optimizer), {}, 0
    for steps in CALLS:
        end = done + steps
        session.train(case.batches[done:end], learning_rates[done:end])
        done = end
        if done in STEPS:
            weights[done] = session.weights()
    return weights


def make_reference(case: Case, optimizers: Mapping[str, Optimizer]) -> Reference:
    """Run the reference on the case, once per optimizer.

    Args:
        case: the case.
        optimizers: the optimizers by name.
    """
    trajectories = {
        name: trajectory(reference_session(case, optimizer), case, optimizer)
        for name, optimizer in optimizers.items()
    }
    return Reference(initial_results(reference_session(case, Sgd()), case), trajectories)


def reference_for(
    case: Case, optimizers: Mapping[str, Optimizer], folder: Optional[Path]
) -> Reference:
    """Return the results of the reference from the cache, or compute and cache them.

    All contenders are compared with the same results, and the reference takes longer to run than
    some contenders.

    Args:
        case: the case.
        optimizers: the optimizers by name.
        folder: folder of cached results; None neither reads nor writes any.
    """
    if folder is None:
        return make_reference(case, optimizers)
    path = folder / f"{_key(case, optimizers)}.npz"
    # A missing or damaged file is replaced.
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return _load(path)
    reference = make_reference(case, optimizers)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs only time
        _save(path, reference)
    return reference


def _key(case: Case, optimizers: Mapping[str, Optimizer]) -> str:
    """Compute the digest of everything that the results depend on."""
    sources = digest_of("backends.numpy", "bench.spec", "bench.verification")
    model = case.model
    return cache.digest(model.layer, model.input_shape, optimizers, sources, np.__version__)


def _save(path: Path, reference: Reference) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with cache.replacing(path) as file:
        np.savez(file, **_flat(reference))  # type: ignore[arg-type]


def _flat(reference: Reference) -> dict[str, FloatArray]:
    """Return all arrays by a key that contains their place, with its parts separated by `|`."""
    arrays = {
        "inference": reference.initial.inference,
        "logits": reference.initial.gradients.logits,
        "loss": reference.initial.loss,
    }
    for name, value in reference.initial.gradients.weights.items():
        arrays[f"gradients|{name}"] = value
    for optimizer, weights_by_steps in reference.trajectories.items():
        for steps, weights in weights_by_steps.items():
            for name, value in weights.items():
                arrays[f"{optimizer}|{steps}|{name}"] = value
    return arrays


def _load(path: Path) -> Reference:
    """Read a file that `_save` wrote."""
    gradients: Weights = {}
    trajectories: dict[str, Trajectory] = {}
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        for key in arrays.files:
            kind, *rest = key.split("|")
            if kind == "gradients":
                gradients[rest[0]] = arrays[key]
            elif rest:
                weights = trajectories.setdefault(kind, {}).setdefault(int(rest[0]), {})
                weights[rest[1]] = arrays[key]
        first = Gradients(arrays["logits"], float(arrays["loss"][0]), gradients)
        return Reference(InitialResults(arrays["inference"], first), trajectories)
