"""The same demands on every installed backend, in every mode, against the float64 reference."""

import numpy as np
import pytest

from backends.api import Unsupported
from backends.native import native_start
from backends.registry import installed_version, recipes
from bench.models import MODELS, build
from bench.spec.layers import Activation, BatchNorm, Conv, Dense, Dropout, Flatten, sequential
from bench.verification.case import OPTIMIZERS, USUAL, make_case, rates
from bench.verification.certify import Subject, certify
from bench.verification.compare import compare_weights
from bench.verification.every_layer import EVERY_LAYER_SHAPE, every_layer
from bench.verification.reference import reference_session, workload

SMALL = sequential(Conv(4, 3, stride=2), BatchNorm(), Activation("relu"), Flatten(), Dense(3))
CONTENDERS = [
    (recipe.name, mode)
    for recipe in recipes().values()
    if installed_version(recipe)
    for mode in recipe.modes
]


def subject(backends, name, mode, precision="float32"):
    backend = backends(name)
    return Subject(backend, backend.devices()[-1], mode, precision)


def failures(checks):
    return [check for check in checks if not check.passed]


@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_every_layer_agrees_with_the_reference(backends, name, mode):
    assert (
        failures(
            certify(subject(backends, name, mode), every_layer(), EVERY_LAYER_SHAPE, OPTIMIZERS)
        )
        == []
    )


@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_every_layer_agrees_in_float64_to_nine_digits(backends, name, mode):
    checks = certify(
        subject(backends, name, mode, "float64"), every_layer(), EVERY_LAYER_SHAPE, USUAL
    )
    assert failures(checks) == []


@pytest.mark.parametrize("model", ["mlp", "linear_mlp", "lenet5", "cnn"])
@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_the_first_models_agree_with_the_reference(backends, name, mode, model):
    layer, shape = build(model), MODELS[model].input_shape
    assert failures(certify(subject(backends, name, mode), layer, shape, USUAL)) == []


@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_twenty_steps_of_sgd_follow_the_reference(backends, name, mode):
    case = make_case(build("mlp"), (28, 28, 1))
    optimizer = OPTIMIZERS["SGD with momentum"]
    session = subject(backends, name, mode).session(case, optimizer)
    reference = reference_session(case, optimizer)
    steps = case.batches[:20], rates(optimizer)[:20]
    losses, wanted = session.train(*steps), reference.train(*steps)
    assert losses.shape == wanted.shape
    assert losses.mean() == pytest.approx(wanted.mean(), rel=1e-4)
    check = compare_weights("weights", session.weights(), reference.weights(), 1e-3, case.weights)
    assert check.passed, check


@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_compiling_trains_nothing(backends, name, mode):
    case = make_case(SMALL, (6, 6, 2))
    contender = subject(backends, name, mode)
    plain = contender.session(case, OPTIMIZERS["Adam"])
    compiled = contender.session(case, OPTIMIZERS["Adam"])
    compiled.compile(*case.batches[:4].shape)
    for key, value in compiled.weights().items():
        np.testing.assert_array_equal(value, case.weights[key], err_msg=key)
    # The optimizer's state is as it was, too: otherwise the first steps would differ.
    steps = case.batches[:4], rates(OPTIMIZERS["Adam"])[:4]
    np.testing.assert_allclose(compiled.train(*steps), plain.train(*steps), rtol=1e-5)


@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_the_same_seed_gives_the_same_result(backends, name, mode):
    case = make_case(build("mlp"), (28, 28, 1))
    contender = subject(backends, name, mode)
    losses = []
    for _ in range(2):
        session = contender.session(case, OPTIMIZERS["SGD with momentum"])
        losses.append(session.train(case.batches[:10], rates(OPTIMIZERS["SGD with momentum"])[:10]))
    np.testing.assert_array_equal(losses[0], losses[1])


@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_dropout_drops_in_training_alone(backends, name, mode):
    layer = sequential(Flatten(), Dropout(0.5), Dense(64, bias=False))
    case = make_case(layer, (4, 4, 1))
    case = case._replace(model=_with_dropout(layer))
    session = subject(backends, name, mode).session(case, OPTIMIZERS["SGD with momentum"])
    images = case.images[case.batches[0]]
    kernel = next(iter(case.weights.values()))
    np.testing.assert_allclose(
        session.predict(images), images.reshape(len(images), -1) @ kernel, rtol=1e-4, atol=1e-5
    )
    dropped = session.gradients(case.batches[0]).logits
    assert np.abs(dropped - session.predict(images)).max() > 0.1


def _with_dropout(layer):
    from bench.spec.shapes import resolve

    return resolve(layer, (4, 4, 1))


@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_what_a_backend_lacks_is_named(backends, name, mode):
    case = make_case(build("mlp"), (28, 28, 1))
    backend = backends(name)
    asked = workload(case, OPTIMIZERS["Adam"], backend.devices()[-1], mode, "float7")
    with pytest.raises(Unsupported, match="float7"):
        backend.session(asked)
    with pytest.raises(Unsupported, match="sideways"):
        backend.session(asked._replace(mode="sideways", precision="float32"))


@pytest.mark.parametrize("name", sorted({name for name, _ in CONTENDERS} - {"numpy"}))
def test_the_frameworks_own_choices_fit_the_model(backends, name):
    case = make_case(every_layer(), EVERY_LAYER_SHAPE)
    defaults = backends(name).native_defaults(0)
    start = native_start(case.model, OPTIMIZERS["Adam"], case.weights, defaults)
    assert {"batch norm epsilon", "Adam epsilon", "dense kernel", "bias"} <= set(start.settings)
    for address, value in start.weights.items():
        assert value.shape == case.weights[address].shape
        assert value.dtype == np.float32
        if address.endswith("/kernel"):
            assert not np.array_equal(value, case.weights[address])
    again = native_start(
        case.model, OPTIMIZERS["Adam"], case.weights, backends(name).native_defaults(0)
    )
    for address, value in start.weights.items():
        np.testing.assert_array_equal(value, again.weights[address], err_msg=address)
