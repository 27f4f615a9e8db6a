"""Make a certificate: run the backend and the reference on the same case, and compare the results.

If several processes share the work, each of them makes the whole certificate, and that of rank 0 is
used. All processes must make the same calls, so each decision that depends on a comparison is that
of rank 0 (`Session.agree`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from backends.api import Backend, Device, Session, Unsupported
from bench.spec.layers import Layer
from bench.spec.parameters import count_parameters, trainable
from bench.spec.shapes import Shape
from bench.spec.training import Optimizer, Sgd
from bench.spec.weights import FloatArray, Weights
from bench.verification.case import BATCH, STEPS, Case, make_case
from bench.verification.certificate import TOLERANCES, Check
from bench.verification.compare import compare_arrays, compare_weights, norm_for
from bench.verification.locate import first_difference
from bench.verification.reference import (
    InitialResults,
    Trajectory,
    initial_results,
    reference_for,
    reference_session,
    trajectory,
    workload,
)

# The order of the batches is rotated by these numbers to repeat a training that differs too much.
_ROTATIONS = (13, 29)


class Subject:
    """The contender to check: a backend in one mode and precision, on one device or several.

    Args:
        backend: the backend.
        device: the device, or the first of those that share each batch.
        mode: one of the backend's modes.
        precision: the precision of the arithmetic.
        world_size: number of processes or devices that share each batch.

    Attributes:
        precision: the precision of the arithmetic.
        tolerance: the tolerances of the precision.
        norm: the norm in which results of the precision are compared.

    Raises:
        Unsupported: the world size does not divide the batches of a case.
    """

    def __init__(
        self, backend: Backend, device: Device, mode: str, precision: str, world_size: int = 1
    ) -> None:
        if BATCH % world_size:
            raise Unsupported(
                f"world size {world_size} does not divide the {BATCH} images of a certificate's "
                "batches"
            )
        self._backend = backend
        self._device = device
        self._mode = mode
        self._world_size = world_size
        self.precision = precision
        self.tolerance = TOLERANCES[precision]
        self.norm = norm_for(precision)

    def session(self, case: Case, optimizer: Optimizer) -> Session:
        """Create a session of the contender on the case."""
        single = workload(case, optimizer, self._device, self._mode, self.precision)
        return self._backend.session(single._replace(world_size=self._world_size))

    def compare(self, name: str, got: FloatArray, wanted: FloatArray) -> Check:
        """Compare results of a forward pass."""
        return compare_arrays(name, got, wanted, self.tolerance.forward, self.norm)

    def compare_gradients(self, got: Weights, wanted: Weights) -> Check:
        """Compare the gradients of one batch."""
        return compare_weights("gradients", got, wanted, self.tolerance.gradients, norm=self.norm)


def certify(
    subject: Subject,
    layer: Layer,
    input_shape: Shape,
    optimizers: Mapping[str, Optimizer],
    references: Optional[Path] = None,
) -> tuple[Check, ...]:
    """Make all checks of the contender on one model.

    Args:
        subject: the contender.
        layer: the model; its dropout rates are set to 0.
        input_shape: shape of an image.
        optimizers: the optimizers to train with, by name; at least one.
        references: folder of cached results of the reference; None caches nothing.

    Raises:
        backends.api.Unsupported: the backend does not support a layer or an option.
    """
    case = make_case(layer, input_shape)
    reference = reference_for(case, optimizers, references)
    checks: list[Check] = []
    for name, optimizer in optimizers.items():
        session = subject.session(case, optimizer)
        if not checks:
            checks += _check_before_training(subject, case, session, reference.initial)
        got = trajectory(session, case, optimizer)
        trained = _compare_trajectories(subject, case, name, got, reference.trajectories[name])
        if session.agree(_all_passed(trained)):
            checks += trained
        else:
            checks += _check_other_orders(subject, case, name, optimizer)
    return tuple(checks)


def _check_other_orders(
    subject: Subject, case: Case, name: str, optimizer: Optimizer
) -> list[Check]:
    """Repeat the training with the batches in other orders.

    A correct backend can fail on one order for the reason in `_compare_gradients`, which is likely
    to occur once in 50 batches. A faulty backend fails on every order.

    Returns:
        The checks of the first order that passes, or of the last order.
    """
    checks: list[Check] = []
    for shift in _ROTATIONS:
        other = case._replace(batches=np.roll(case.batches, shift, axis=0))
        session = subject.session(other, optimizer)
        got = trajectory(session, other, optimizer)
        wanted = trajectory(reference_session(other, optimizer), other, optimizer)
        checks = _compare_trajectories(subject, other, name, got, wanted)
        if session.agree(_all_passed(checks)):
            break
    return checks


def _all_passed(checks: Sequence[Check]) -> bool:
    return all(check.passed for check in checks)


def _check_before_training(
    subject: Subject, case: Case, session: Session, wanted: InitialResults
) -> tuple[Check, ...]:
    """Check that weights are stored unchanged, and compare the results before any step."""
    weights = session.weights()
    got = initial_results(session, case)
    return (
        _compare_parameter_counts(case, weights),
        compare_weights("round trip of the weights", weights, case.weights, 0.0),
        *_compare_logits_and_loss(subject, case, session, got, wanted),
        _compare_gradients(subject, case, session, got, wanted),
        compare_weights("weights unchanged by the checks", session.weights(), weights, 0.0),
    )


def _compare_logits_and_loss(
    subject: Subject, case: Case, session: Session, got: InitialResults, wanted: InitialResults
) -> tuple[Check, ...]:
    ours, theirs = got.gradients.logits, wanted.gradients.logits
    logits = (
        subject.compare("logits in inference", got.inference, wanted.inference),
        subject.compare("logits in training", ours, theirs),
    )
    located = [_locate(subject, case, session, check) for check in logits]
    return (*located, subject.compare("loss", got.loss, wanted.loss))


def _compare_gradients(
    subject: Subject, case: Case, session: Session, got: InitialResults, wanted: InitialResults
) -> Check:
    """Compare the gradients on up to three batches, and return the check that differs least.

    About one in a million inputs of a ReLU is so close to 0 that rounding decides its sign. The
    gradients of that batch then differ even if both sides are correct. A fault, in contrast, shows
    on every batch.
    """
    check = subject.compare_gradients(got.gradients.weights, wanted.gradients.weights)
    for batch in case.batches[1:3]:
        if session.agree(check.passed):
            break
        ours = session.gradients(batch).weights
        theirs = reference_session(case, Sgd()).gradients(batch).weights
        other = compare_weights(
            "gradients", ours, theirs, subject.tolerance.gradients, norm=subject.norm
        )
        check = min(
            check, other, key=lambda each: math.inf if each.difference is None else each.difference
        )
    return check


def _difference(check: Check) -> float:
    return math.inf if check.difference is None else check.difference


def _locate(subject: Subject, case: Case, session: Session, check: Check) -> Check:
    """If the check of the logits failed, find the first layer that differs."""
    if session.agree(check.passed):
        return check
    optimizer = Sgd()

    def differs(prefix: Case) -> bool:
        prefix_session = subject.session(prefix, optimizer)
        got = initial_results(prefix_session, prefix)
        wanted = initial_results(reference_session(prefix, optimizer), prefix)
        compared = (
            subject.compare("", got.inference, wanted.inference),
            subject.compare("", got.gradients.logits, wanted.gradients.logits),
        )
        return not prefix_session.agree(_all_passed(compared))

    return check.at(first_difference(case, differs))


def _compare_parameter_counts(case: Case, weights: Weights) -> Check:
    """Compare the number of the session's trainable parameters with that of the spec."""
    trained = set(trainable(case.model))
    got = sum(value.size for name, value in weights.items() if name in trained)
    wanted = count_parameters(case.model)
    where = "" if got == wanted else f"{got:,} instead of {wanted:,}"
    return Check("number of parameters", abs(got - wanted) / max(wanted, 1), 0.0, where)


def _compare_trajectories(
    subject: Subject, case: Case, name: str, got: Trajectory, wanted: Trajectory
) -> list[Check]:
    """Compare weights and running statistics after 1, 10 and 50 steps of an optimizer.

    The statistics are compared separately, because their changes have another scale.
    """
    trained = set(trainable(case.model))
    checks = []
    for steps in STEPS:
        tolerance = subject.tolerance.training[steps]
        for kind, is_trained in (("weights", True), ("running statistics", False)):
            ours, theirs = (
                {key: value for key, value in side.items() if (key in trained) == is_trained}
                for side in (got[steps], wanted[steps])
            )
            if ours or theirs:
                label = f"{kind} after step {steps} of {name}"
                checks.append(
                    compare_weights(label, ours, theirs, tolerance, case.weights, subject.norm)
                )
    return checks
