"""Make a certificate: run the backend and the reference on one case, and compare.

Where several processes share the work, each makes the whole certificate, and rank 0's is kept. What
comes next depends on what passed, so every such decision is agreed on (`Session.agree`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from backends.api import Backend, Device, Session, Unsupported
from bench.spec.layers import Layer
from bench.spec.parameters import count_parameters, weight_specs
from bench.spec.shapes import Shape
from bench.spec.training import Optimizer, Sgd
from bench.spec.weights import Weights
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

# By how many batches the order is rolled where training differs too much in the first.
_OTHER_ORDERS = (13, 29)


class Subject:
    """The contender that is checked: a backend in one mode and precision, on a kind of device."""

    def __init__(
        self, backend: Backend, device: Device, mode: str, precision: str, world_size: int = 1
    ) -> None:
        """See the class; so many processes or devices share each batch.

        Raises:
            Unsupported: they cannot share the batches of a case.
        """
        self._backend = backend
        self._device = device
        self._mode = mode
        self.precision = precision
        self._world_size = world_size
        if BATCH % world_size:
            raise Unsupported(
                f"world size {world_size}: the batches of a certificate hold {BATCH} images, which "
                "so many cannot share in equal parts"
            )
        self.tolerance = TOLERANCES[precision]
        self.norm = norm_for(precision)

    def session(self, case: Case, optimizer: Optimizer) -> Session:
        """A session of the contender on the case."""
        asked = workload(case, optimizer, self._device, self._mode, self.precision)
        return self._backend.session(asked._replace(world_size=self._world_size))


def certify(
    subject: Subject,
    layer: Layer,
    input_shape: Shape,
    optimizers: Mapping[str, Optimizer],
    references: Optional[Path] = None,
) -> tuple[Check, ...]:
    """All checks of the contender on one model.

    Args:
        subject: the contender.
        layer: the model; its dropout is set to 0.
        input_shape: of an image.
        optimizers: those to train with, by name; at least one.
        references: a folder that keeps the reference's answers for other contenders.

    Raises:
        backends.api.Unsupported: the backend lacks a layer, the mode, device or precision.
    """
    case = make_case(layer, input_shape)
    reference = reference_for(case, optimizers, references)
    checks: list[Check] = []
    for name, optimizer in optimizers.items():
        session = subject.session(case, optimizer)
        if not checks:
            checks += _at_rest(subject, case, session, reference.initial)
        got = trajectory(session, case, optimizer)
        trained = _in_training(subject, case, name, got, reference.trajectories[name])
        is_right = session.agree(_all_passed(trained))
        checks += trained if is_right else _again(subject, case, name, optimizer)
    return tuple(checks)


def _again(subject: Subject, case: Case, name: str, optimizer: Optimizer) -> list[Check]:
    """Train on the batches in two other orders: the checks of the first that passes, or the last.

    For the reason that `_compare_gradients` gives, and because 50 steps meet 50 batches.
    """
    checks: list[Check] = []
    for shift in _OTHER_ORDERS:
        other = case._replace(batches=np.roll(case.batches, shift, axis=0))
        session = subject.session(other, optimizer)
        got = trajectory(session, other, optimizer)
        wanted = trajectory(reference_session(other, optimizer), other, optimizer)
        checks = _in_training(subject, other, name, got, wanted)
        if session.agree(_all_passed(checks)):
            break
    return checks


def _all_passed(checks: Sequence[Check]) -> bool:
    return all(check.passed for check in checks)


def _at_rest(
    subject: Subject, case: Case, session: Session, wanted: InitialResults
) -> tuple[Check, ...]:
    """Before any step: the weights came and went unharmed, and both sides compute the same."""
    held = session.weights()
    got = initial_results(session, case)
    return (
        _parameter_count(case, held),
        compare_weights("round trip of the weights", held, case.weights, 0.0),
        *_compare_answers(subject, case, session, got, wanted),
        _compare_gradients(subject, case, session, got, wanted),
        compare_weights("weights unchanged by the checks", session.weights(), held, 0.0),
    )


def _compare_answers(
    subject: Subject, case: Case, session: Session, got: InitialResults, wanted: InitialResults
) -> tuple[Check, ...]:
    tolerance, norm = subject.tolerance.forward, subject.norm
    inference = compare_arrays(
        "logits in inference", got.inference, wanted.inference, tolerance, norm
    )
    training = compare_arrays(
        "logits in training", got.gradients.logits, wanted.gradients.logits, tolerance, norm
    )
    loss = compare_arrays("loss", got.loss, wanted.loss, tolerance, norm)
    located = [_located(subject, case, session, check) for check in (inference, training)]
    return (*located, loss)


def _compare_gradients(
    subject: Subject, case: Case, session: Session, got: InitialResults, wanted: InitialResults
) -> Check:
    """Compare on the first batch, and where that fails on two more: the least difference counts.

    Of a million values before a ReLU one lies so near 0 that rounding decides its side, and the
    gradients of that batch differ, whoever is right. What is wrong is wrong on every batch.
    """
    ours, theirs = got.gradients.weights, wanted.gradients.weights
    check = compare_weights(
        "gradients", ours, theirs, subject.tolerance.gradients, norm=subject.norm
    )
    for batch in case.batches[1:3]:
        if session.agree(check.passed):
            break
        ours = session.gradients(batch).weights
        theirs = reference_session(case, Sgd()).gradients(batch).weights
        again = compare_weights(
            "gradients", ours, theirs, subject.tolerance.gradients, norm=subject.norm
        )
        check = min(check, again, key=_size)
    return check


def _size(check: Check) -> float:
    return math.inf if check.difference is None else check.difference


def _located(subject: Subject, case: Case, session: Session, check: Check) -> Check:
    """The check with the first layer that diverges, when it failed."""
    if session.agree(check.passed):
        return check
    optimizer = Sgd()

    def differs(beginning: Case) -> bool:
        shorter = subject.session(beginning, optimizer)
        got = initial_results(shorter, beginning)
        wanted = initial_results(reference_session(beginning, optimizer), beginning)
        return not shorter.agree(
            all(
                compare_arrays("", *pair, subject.tolerance.forward, subject.norm).passed
                for pair in (
                    (got.inference, wanted.inference),
                    (got.gradients.logits, wanted.gradients.logits),
                )
            )
        )

    return check.at(first_difference(case, differs))


def _parameter_count(case: Case, held: Weights) -> Check:
    """The number of trainable parameters that the session holds, against the spec's."""
    trainable = {name for name, spec in weight_specs(case.model).items() if spec.trainable}
    got = sum(value.size for name, value in held.items() if name in trainable)
    wanted = count_parameters(case.model)
    where = "" if got == wanted else f"{got:,} instead of {wanted:,}"
    return Check("number of parameters", abs(got - wanted) / max(wanted, 1), 0.0, where)


def _in_training(
    subject: Subject, case: Case, name: str, got: Trajectory, wanted: Trajectory
) -> list[Check]:
    """The weights, and the statistics apart, after 1, 10 and 50 steps of an optimizer."""
    trainable = {key for key, spec in weight_specs(case.model).items() if spec.trainable}
    checks = []
    for steps in STEPS:
        tolerance = subject.tolerance.training[steps]
        for kind, is_trainable in (("weights", True), ("running statistics", False)):
            ours, theirs = (
                {key: value for key, value in side.items() if (key in trainable) == is_trainable}
                for side in (got[steps], wanted[steps])
            )
            if ours or theirs:
                label = f"{kind} after step {steps} of {name}"
                checks.append(
                    compare_weights(label, ours, theirs, tolerance, case.weights, subject.norm)
                )
    return checks
