"""Compare the results of a backend with the reference in float64."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import pytest

from backends.api import Unsupported
from bench.spec.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    sequential,
)
from bench.spec.models import MODELS, build
from bench.spec.shapes import resolve
from bench.spec.training import Optimizer
from bench.verification.case import (
    EVERY_LAYER_SHAPE,
    ONE_OPTIMIZER,
    OPTIMIZERS,
    every_layer,
    make_case,
    rates,
)
from bench.verification.certificate import Check
from bench.verification.compare import compare_weights
from bench.verification.conformance.contender import BackendMode, in_first_mode
from bench.verification.reference import reference_session

NORMALISED = sequential(Conv(4, 3, stride=2, bias=False), BatchNorm(), Flatten(), Dense(3))
DENSE = sequential(Flatten(), Dense(4), Activation("relu"), Dense(3))
MOMENTUM = OPTIMIZERS["SGD with momentum"]
ADAM = OPTIMIZERS["Adam"]


def failures(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if not check.passed]


def test_every_layer_agrees_with_every_optimizer(contender: BackendMode) -> None:
    try:
        checks = _all_checks(contender)
    except Unsupported:  # `bench verify` names the unsupported layer; the others must be correct
        checks = _perceptron_checks(contender)
    assert checks
    assert failures(checks) == []


def _all_checks(contender: BackendMode) -> tuple[Check, ...]:
    """Check every layer with every optimizer, in the first mode.

    In other modes, check every layer with one optimizer, and every optimizer on a small network:
    the update rules are the same in all modes, and compiling the large network takes long.
    """
    if contender.is_in_first_mode:
        return contender.certify(every_layer(), EVERY_LAYER_SHAPE, OPTIMIZERS)
    layers = contender.certify(every_layer(), EVERY_LAYER_SHAPE, ONE_OPTIMIZER)
    return layers + contender.certify(NORMALISED, (6, 6, 2), OPTIMIZERS)


def _perceptron_checks(contender: BackendMode) -> tuple[Check, ...]:
    """Check a perceptron with each optimizer that the backend supports."""
    checks: list[Check] = []
    for name, optimizer in OPTIMIZERS.items():
        with contextlib.suppress(Unsupported):
            checks += contender.certify(DENSE, (6, 6, 2), {name: optimizer})
    return tuple(checks)


def test_every_layer_agrees_in_float64(contender: BackendMode) -> None:
    """Only in the first mode: the formulas are the same in all modes, and compiling takes long."""
    if "float64" not in contender.recipe.precisions:
        pytest.skip("no float64")
    in_first_mode(contender)
    checks = contender.certify(every_layer(), EVERY_LAYER_SHAPE, ONE_OPTIMIZER, "float64")
    assert failures(checks) == []


@pytest.mark.evenbench_must_have
@pytest.mark.parametrize("model", ["mlp", "linear_mlp"])
def test_a_perceptron_agrees_with_the_reference(contender: BackendMode, model: str) -> None:
    layer, shape = build(model), MODELS[model].input_shape
    assert failures(contender.certify(layer, shape, ONE_OPTIMIZER)) == []


@pytest.mark.parametrize("model", ["lenet5", "cnn"])
def test_a_convolution_network_agrees_with_the_reference(
    contender: BackendMode, model: str
) -> None:
    layer, shape = build(model), MODELS[model].input_shape
    assert failures(contender.certify(layer, shape, ONE_OPTIMIZER)) == []


def test_twenty_steps_of_sgd_follow_the_reference(contender: BackendMode) -> None:
    case = make_case(build("mlp"), (28, 28, 1))
    session, reference = contender.session(case, MOMENTUM), reference_session(case, MOMENTUM)
    steps = case.batches[:20], rates(MOMENTUM)[:20]
    losses, wanted = session.train(*steps), reference.train(*steps)
    assert losses.shape == wanted.shape
    # A session returns the loss of each step, or their mean for each step; see `Session.train`.
    assert losses.mean() == pytest.approx(wanted.mean(), rel=1e-4)
    check = compare_weights("weights", session.weights(), reference.weights(), 1e-3, case.weights)
    assert check.passed, check


@pytest.mark.parametrize(
    ("layer", "optimizer"), [(NORMALISED, ADAM), (DENSE, MOMENTUM)], ids=["normalised", "dense"]
)
def test_compiling_does_not_change_the_session(
    contender: BackendMode, layer: Layer, optimizer: Optimizer
) -> None:
    case = make_case(layer, (6, 6, 2))
    plain, compiled = (contender.session(case, optimizer) for _ in range(2))
    compiled.compile(*case.batches[:4].shape)
    for key, value in compiled.weights().items():
        np.testing.assert_array_equal(value, case.weights[key], err_msg=key)
    # Compiling must not change the state of the optimizer either, or the first steps would differ.
    steps = case.batches[:4], rates(optimizer)[:4]
    np.testing.assert_allclose(compiled.train(*steps), plain.train(*steps), rtol=1e-5)


def test_the_same_seed_gives_the_same_result(contender: BackendMode) -> None:
    case = make_case(build("mlp"), (28, 28, 1))
    losses = [
        contender.session(case, MOMENTUM).train(case.batches[:10], rates(MOMENTUM)[:10])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(losses[0], losses[1])


def test_dropout_is_applied_only_in_training(contender: BackendMode) -> None:
    layer = sequential(Flatten(), Dropout(0.5), Dense(64, bias=False))
    case = make_case(layer, (4, 4, 1))._replace(model=resolve(layer, (4, 4, 1)))
    session = contender.session(case, MOMENTUM)
    images = case.images[case.batches[0]]
    kernel = next(iter(case.weights.values()))
    wanted = images.reshape(len(images), -1) @ kernel
    np.testing.assert_allclose(session.predict(images), wanted, rtol=1e-4, atol=1e-5)
    dropped = session.gradients(case.batches[0]).logits
    assert np.abs(dropped - session.predict(images)).max() > 0.1
