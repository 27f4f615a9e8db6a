"""What a backend offers beside: precisions, inputs, its own choices, fast prediction."""

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
from bench.verification.case import OPTIMIZERS, USUAL, Case, make_case, rates
from bench.verification.certify import certify
from bench.verification.conformance.contender import Contender, in_first_mode

# Each kind of layer that rounds in a way of its own. No bias before the normalisation: its gradient
# would be 0 but for rounding.
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


def has_bfloat16(contender: Contender) -> None:
    if "bfloat16" not in contender.recipe.precisions:
        pytest.skip("no bfloat16")


def test_bfloat16_keeps_to_its_own_tolerance(contender: Contender) -> None:
    """In the first mode alone, as float64: what is cast where is the same in all."""
    has_bfloat16(contender)
    in_first_mode(contender)
    checks = certify(contender.subject("bfloat16"), VARIED, VARIED_SHAPE, USUAL)
    assert [check for check in checks if not check.passed] == []


def test_bfloat16_is_what_was_computed(contender: Contender) -> None:
    """A backend that stays in float32 would pass the certificate, and be too slow or too fast."""
    has_bfloat16(contender)
    case = make_case(build("mlp"), (28, 28, 1))
    images = case.images[case.batches[0]]
    exact, short = (
        contender.backend.session(contender.workload(case, MOMENTUM, precision)).predict(images)
        for precision in ("float32", "bfloat16")
    )
    assert short.dtype == np.float32
    difference = np.abs(exact - short).max() / np.abs(exact).max()
    assert 5e-4 < difference < 5e-2


def test_what_a_backend_lacks_is_named(contender: Contender) -> None:
    asked = contender.workload(make_case(build("mlp"), (28, 28, 1)), MOMENTUM, "float7")
    with pytest.raises(Unsupported, match="float7"):
        contender.backend.session(asked)
    with pytest.raises(Unsupported, match="sideways"):
        contender.backend.session(asked._replace(mode="sideways", precision="float32"))


@pytest.mark.parametrize("precision", ["float16", "tf32"])
def test_what_needs_a_gpu_is_refused_on_a_cpu(contender: Contender, precision: str) -> None:
    with pytest.raises(Unsupported, match=rf"precision '{precision}' on cpu"):
        contender.backend.session(contender.workload(small_case(), MOMENTUM, precision))
    assert precision in contender.recipe.unsupported("cpu", precision, "resident")


# A DataLoader forks. A worker holds one framework alone; here, the threads of others may be there.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_pipeline_trains_as_resident_data_does(contender: Contender) -> None:
    if "pipeline" not in contender.recipe.inputs:
        pytest.skip("no pipeline")
    case = small_case()
    pixels = np.random.default_rng(0).integers(0, 256, case.images.shape, np.uint8)
    resident = contender.workload(case._replace(images=scale_pixels(pixels)), MOMENTUM)
    piped = resident._replace(images=pixels, input="pipeline")
    sessions = [contender.backend.session(given) for given in (resident, piped)]
    steps, rate = case.batches[:10], rates(MOMENTUM)[:10]
    sessions[1].compile(*steps.shape)
    for _ in range(2):  # a loader serves several epochs
        wanted, got = (session.train(steps, rate) for session in sessions)
        np.testing.assert_allclose(got, wanted, rtol=1e-4)
    held, streamed = (session.weights() for session in sessions)
    for address, value in held.items():
        np.testing.assert_allclose(streamed[address], value, rtol=1e-3, atol=1e-5)
    wanted_loss, got_loss = (session.gradients(steps[0]).loss for session in sessions)
    assert got_loss == pytest.approx(wanted_loss, rel=1e-4)


def test_a_predictor_answers_as_predict_does(contender: Contender) -> None:
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


def test_the_frameworks_own_choices_fit_the_model(contender: Contender) -> None:
    layer = sequential(Conv(4, 3, groups=2), BatchNorm(), DepthwiseConv(3), Flatten(), Dense(3))
    case = make_case(layer, (6, 6, 2))
    defaults = contender.backend.native_defaults(0)
    if defaults is None:
        pytest.skip("it makes no choices of its own")
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
