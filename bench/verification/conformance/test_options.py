"""Check the optional parts of a backend: precisions, inputs, native defaults and predictors."""

from __future__ import annotations

import numpy as np
import pytest

from backends.api import Unsupported
from backends.native import native_start
from bench.spec.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    GlobalAvgPool,
    Identity,
    MaxPool,
    add,
    concatenate,
    multiply,
    sequential,
)
from bench.spec.models import build
from bench.spec.training import scale_pixels
from bench.verification.case import ONE_OPTIMIZER, OPTIMIZERS, Case, make_case, rates
from bench.verification.conformance.contender import BackendMode, in_first_mode

# Layers that round in different ways. No bias before the batch normalisation: its gradient would be
# a rounding error.
VARIED = sequential(
    Conv(8, 3, stride=2, bias=False),
    BatchNorm(),
    Activation("relu"),
    concatenate(Identity(), sequential(DepthwiseConv(3), Activation("gelu"))),
    add(Conv(12, 1), sequential(Conv(12, 3, groups=2), Activation("relu6"))),
    MaxPool(3, stride=1, padding="same"),
    AvgPool(2),
    multiply(Identity(), sequential(GlobalAvgPool(), Dense(12), Activation("sigmoid"))),
    Flatten(),
    Dense(5),
)
VARIED_SHAPE = (12, 12, 3)
MOMENTUM = OPTIMIZERS["SGD with momentum"]


def small_case() -> Case:
    return make_case(sequential(Conv(4, 3), MaxPool(2), Flatten(), Dense(3)), (6, 6, 2))


def skip_without_bfloat16(contender: BackendMode) -> None:
    if "bfloat16" not in contender.recipe.precisions:
        pytest.skip("no bfloat16")


def test_bfloat16_agrees_within_its_tolerance(contender: BackendMode) -> None:
    """Only in the first mode: all modes cast the same values."""
    skip_without_bfloat16(contender)
    in_first_mode(contender)
    checks = contender.certify(VARIED, VARIED_SHAPE, ONE_OPTIMIZER, "bfloat16")
    assert [check for check in checks if not check.passed] == []


def test_bfloat16_is_really_used(contender: BackendMode) -> None:
    """A backend that ignores the precision would pass the certificate, but measure float32."""
    skip_without_bfloat16(contender)
    case = make_case(build("mlp"), (28, 28, 1))
    images = case.images[case.batches[0]]
    exact, short = (
        contender.backend.session(contender.workload(case, MOMENTUM, precision)).predict(images)
        for precision in ("float32", "bfloat16")
    )
    assert short.dtype == np.float32
    difference = np.abs(exact - short).max() / np.abs(exact).max()
    assert 5e-4 < difference < 5e-2


def test_an_unsupported_precision_or_mode_is_named(contender: BackendMode) -> None:
    workload = contender.workload(make_case(build("mlp"), (28, 28, 1)), MOMENTUM, "float7")
    with pytest.raises(Unsupported, match="float7"):
        contender.backend.session(workload)
    with pytest.raises(Unsupported, match="sideways"):
        contender.backend.session(workload._replace(mode="sideways", precision="float32"))


@pytest.mark.parametrize("precision", ["float16", "tf32"])
def test_precisions_of_gpus_are_refused_on_a_cpu(contender: BackendMode, precision: str) -> None:
    with pytest.raises(Unsupported, match=rf"precision '{precision}' on cpu"):
        contender.backend.session(contender.workload(small_case(), MOMENTUM, precision))
    assert precision in contender.recipe.unsupported("cpu", precision, "resident")


# A DataLoader forks. A worker has imported one framework only, but this process may have threads of
# several frameworks, and Python warns of a fork then.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_pipeline_trains_like_resident_data(contender: BackendMode) -> None:
    if "pipeline" not in contender.recipe.inputs:
        pytest.skip("no pipeline")
    case = small_case()
    pixels = np.random.default_rng(0).integers(0, 256, case.images.shape, np.uint8)
    resident = contender.workload(case._replace(images=scale_pixels(pixels)), MOMENTUM)
    piped = resident._replace(images=pixels, input="pipeline")
    sessions = [contender.backend.session(given) for given in (resident, piped)]
    steps, rate = case.batches[:10], rates(MOMENTUM)[:10]
    sessions[1].compile(*steps.shape)
    for _ in range(2):  # a loader must work for several epochs
        wanted, got = (session.train(steps, rate) for session in sessions)
        np.testing.assert_allclose(got, wanted, rtol=1e-4)
    expected, streamed = (session.weights() for session in sessions)
    for address, value in expected.items():
        np.testing.assert_allclose(streamed[address], value, rtol=1e-3, atol=1e-5)
    wanted_loss, got_loss = (session.gradients(steps[0]).loss for session in sessions)
    assert got_loss == pytest.approx(wanted_loss, rel=1e-4)


def test_a_predictor_returns_the_logits_of_predict(contender: BackendMode) -> None:
    case = small_case()
    session = contender.session(case, MOMENTUM)
    session.train(case.batches[:3], rates(MOMENTUM)[:3])
    for size in (1, 5):
        predict = session.predictor(size)
        for first in (0, size):
            images = case.images[first : first + size]
            answer = predict(images)
            assert answer.shape == (size, 3)
            np.testing.assert_allclose(answer, session.predict(images), rtol=1e-4, atol=1e-5)


def test_native_defaults_fit_the_model(contender: BackendMode) -> None:
    layer = sequential(Conv(4, 3, groups=2), BatchNorm(), DepthwiseConv(3), Flatten(), Dense(3))
    case = make_case(layer, (6, 6, 2))
    defaults = contender.backend.native_defaults(0)
    if defaults is None:
        pytest.skip("no native defaults")
    adam = OPTIMIZERS["Adam"]
    start = native_start(case.model, adam, case.weights, defaults)
    assert {"batch norm epsilon", "Adam epsilon", "dense kernel", "bias"} <= set(start.settings)
    for address, value in start.weights.items():
        assert value.shape == case.weights[address].shape
        assert value.dtype == np.float32
        if address.endswith("/kernel"):
            assert not np.array_equal(value, case.weights[address])
    second = contender.backend.native_defaults(0)
    assert second is not None
    again = native_start(case.model, adam, case.weights, second)
    for address, value in start.weights.items():
        np.testing.assert_array_equal(value, again.weights[address], err_msg=address)
