"""Faults planted in the NumPy backend in float32, so that no test needs a framework."""

import os
from contextlib import contextmanager, nullcontext
from pathlib import Path

import msgspec

import backends.numpy.lowering as lowering
import backends.numpy.session as numpy_session
from backends.api import Device
from backends.numpy.backend import NumpyBackend
from backends.numpy.session import NumpySession
from bench.cache import CACHE_VARIABLE
from bench.spec.layers import Activation, BatchNorm, Conv, Dense, Flatten, Identity, add, sequential
from bench.spec.parameters import weight_specs
from bench.spec.shapes import resolve
from bench.verification.case import OPTIMIZERS
from bench.verification.certify import Subject, certify

MODEL = sequential(
    Conv(4, 3),
    BatchNorm(momentum=0.8),
    Activation("tanh"),
    add(Identity(), sequential(Conv(4, 3), Activation("silu"))),
    Conv(5, 3, stride=2),
    Flatten(),
    Dense(6),
    Activation("silu"),
    Dense(5),
)
SHAPE = (8, 6, 2)


class Mutant(NumpyBackend):
    """NumPy with a fault.

    Args:
        workload: changes the workload before a session is created from it.
        session: the class of the session.
        planted: returns a context in which a function of the NumPy backend is replaced.
    """

    def __init__(self, workload=lambda given: given, session=NumpySession, planted=nullcontext):
        self._workload = workload
        self._session_class = session
        self._planted = planted

    def session(self, given):
        """Create a session in float32, whatever the precision of the certificate is.

        This overrides `session`, which would refuse other precisions.
        """
        with self._planted():
            workload = self._workload(given)._replace(precision="float32")
            return Planted(self._session_class(workload), self._planted)


class Planted:
    """A session that plants the fault during each of its calls, so not in the reference."""

    def __init__(self, session, planted):
        self._inner = session
        self._planted = planted

    def __getattr__(self, name):
        method = getattr(self._inner, name)

        def call(*arguments):
            with self._planted():
                return method(*arguments)

        return call


def checks_of(backend, model=MODEL, shape=SHAPE):
    """Return all checks of the backend."""
    subject = Subject(backend, Device("cpu"), "eager", "float32")
    # Computed once per model: the reference has no fault, whatever the subject has.
    references = Path(os.environ[CACHE_VARIABLE]) / "references"
    return certify(subject, model, shape, OPTIMIZERS, references)


def failed(backend, model=MODEL, shape=SHAPE):
    """Return the failed checks of the backend, by name."""
    return {check.name: check for check in checks_of(backend, model, shape) if not check.passed}


def changed_layer(kind, change):
    """Return a function that changes all layers of a kind in a workload, and its weights to fit."""

    def replace(layer):
        if isinstance(layer, kind):
            return change(layer)
        parts = getattr(layer, "parts", None)
        return msgspec.structs.replace(layer, parts=tuple(map(replace, parts))) if parts else layer

    def workload(given):
        model = resolve(replace(given.model.layer), given.model.input_shape)
        weights = {name: given.weights[name] for name in weight_specs(model)}
        return given._replace(model=model, weights=weights)

    return workload


def changed_optimizer(kind, change):
    """Return a function that changes an optimizer of a kind in a workload."""
    return lambda given: (
        given._replace(optimizer=change(given.optimizer))
        if isinstance(given.optimizer, kind)
        else given
    )


@contextmanager
def replaced(holder, name, value):
    """Replace an attribute during the block."""
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


@contextmanager
def relowered(kind, lower):
    """Change how a kind of layer is lowered during the block.

    Args:
        kind: the class of the layer.
        lower: receives the correct function and returns the faulty one.
    """
    right = lowering._lower.dispatch(kind)
    lowering._lower.register(kind, lower(right))
    try:
        yield
    finally:
        lowering._lower.register(kind, right)


def summed_loss():
    """Return a backend whose loss is the sum over the batch instead of the mean."""

    def summed(logits, labels):
        loss, gradient = right(logits, labels)
        return loss * len(labels), gradient * len(labels)

    right = numpy_session.softmax_cross_entropy
    return Mutant(planted=lambda: replaced(numpy_session, "softmax_cross_entropy", summed))
