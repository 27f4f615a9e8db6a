"""Short precisions, input pipelines and the fast form of prediction, on every installed backend."""

import importlib

import numpy as np
import pytest

from backends.api import Unsupported
from backends.registry import installed_version, recipes
from bench.models import build
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
from bench.spec.training import scale_pixels
from bench.verification.case import OPTIMIZERS, USUAL, make_case, rates
from bench.verification.certify import Subject, certify
from bench.verification.reference import workload

INSTALLED = [recipe for recipe in recipes().values() if installed_version(recipe)]
CONTENDERS = [(recipe.name, mode) for recipe in INSTALLED for mode in recipe.modes]
SHORT = [
    (recipe.name, mode)
    for recipe in INSTALLED
    for mode in recipe.modes
    if "bfloat16" in recipe.precisions
]
STREAMS = [contender for contender in CONTENDERS if contender != ("jax", "scan")]
# Each kind of layer that rounds in a way of its own.
VARIED = sequential(
    Conv(8, 3, stride=2),
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
OPTIMIZER = OPTIMIZERS["SGD with momentum"]


def asked(backend, mode, case, precision="float32"):
    return workload(case, OPTIMIZER, backend.devices()[-1], mode, precision)


def small_case():
    layer = sequential(Conv(4, 3), MaxPool(2), Flatten(), Dense(3))
    return make_case(layer, (6, 6, 2))


@pytest.mark.parametrize(("name", "mode"), SHORT)
def test_bfloat16_keeps_to_its_own_tolerance(backends, name, mode):
    backend = backends(name)
    subject = Subject(backend, backend.devices()[-1], mode, "bfloat16")
    for layer, shape in ((VARIED, (12, 12, 3)), (build("mlp"), (28, 28, 1))):
        checks = certify(subject, layer, shape, USUAL)
        assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize(("name", "mode"), SHORT)
def test_bfloat16_is_what_was_computed(backends, name, mode):
    """A backend that stays in float32 would pass the certificate, and be too slow or too fast."""
    case = make_case(build("mlp"), (28, 28, 1))
    backend = backends(name)
    images = case.images[case.batches[0]]
    exact, short = (
        backend.session(asked(backend, mode, case, precision)).predict(images)
        for precision in ("float32", "bfloat16")
    )
    assert short.dtype == np.float32
    difference = np.abs(exact - short).max() / np.abs(exact).max()
    assert 5e-4 < difference < 5e-2


@pytest.mark.parametrize(("name", "mode"), [each for each in SHORT if each[1] != "compile"])
def test_the_logic_of_float16_holds_apart_from_a_device(backends, name, mode, monkeypatch):
    """The loss scale above all: without it, or undone only in part, gradients are off."""
    backend = backends(name)
    platform = importlib.import_module(f"backends.{name}.platform")
    monkeypatch.setattr(platform, "precisions", lambda device: ["float16"])
    subject = Subject(backend, backend.devices()[-1], mode, "float16")
    checks = certify(subject, build("mlp"), (28, 28, 1), USUAL)
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize("precision", ["float16", "tf32"])
@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_what_needs_a_gpu_is_refused_on_a_cpu(backends, name, mode, precision):
    backend = backends(name)
    with pytest.raises(Unsupported, match=rf"precision.*received '{precision}'"):
        backend.session(asked(backend, mode, small_case(), precision))
    assert precision in recipes()[name].lacking("cpu", precision, "resident")


# A DataLoader forks. A worker holds one framework alone; here, the threads of the others are there.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize(("name", "mode"), STREAMS)
def test_a_pipeline_trains_as_resident_data_does(backends, name, mode):
    backend = backends(name)
    case = small_case()
    pixels = np.random.default_rng(0).integers(0, 256, case.images.shape, np.uint8)
    resident = asked(backend, mode, case._replace(images=scale_pixels(pixels)))
    sessions = [
        backend.session(given)
        for given in (resident, resident._replace(images=pixels, input="pipeline"))
    ]
    steps, rate = case.batches[:10], rates(OPTIMIZER)[:10]
    sessions[1].compile(*steps.shape)
    for _ in range(2):  # a loader serves several epochs
        wanted, got = (session.train(steps, rate) for session in sessions)
        np.testing.assert_allclose(got, wanted, rtol=1e-4)
    held, streamed = (session.weights() for session in sessions)
    for address, value in held.items():
        np.testing.assert_allclose(streamed[address], value, rtol=1e-3, atol=1e-5)
    wanted, got = (session.gradients(steps[0]).loss for session in sessions)
    assert got == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_a_predictor_answers_as_predict_does(backends, name, mode):
    backend = backends(name)
    case = small_case()
    session = backend.session(asked(backend, mode, case))
    session.train(case.batches[:3], rates(OPTIMIZER)[:3])
    for size in (1, 5):
        predict = session.predictor(size)
        for first in (0, size):
            images = case.images[first : first + size]
            answer = predict(images)
            assert answer.shape == (size, 3)
            np.testing.assert_allclose(answer, session.predict(images), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(("jax", "scan") not in CONTENDERS, reason="JAX is not installed")
def test_a_scan_takes_no_pipeline(backends):
    backend = backends("jax")
    with pytest.raises(Unsupported, match="input in mode scan"):
        backend.session(asked(backend, "scan", small_case())._replace(input="pipeline"))
