"""Code shared by several backends: update rules, composites, layouts, support checks."""

from functools import singledispatch

import numpy as np
import pytest

from backends.api import Backend, Device, Recipe, Unsupported, Workload
from backends.lowering import (
    bessel,
    canonical_kernel,
    kernel_first,
    maps_first,
    next_statistics,
    register_composites,
    require_layers,
    takes_vectors,
)
from backends.numpy.optimizers import update_rule as numpy_update_rule
from backends.optimizers import initial_slots, settings_of_steps, update_rule, updated
from bench.spec.layers import (
    BatchNorm,
    Dense,
    Flatten,
    Identity,
    add,
    concatenate,
    multiply,
    sequential,
)
from bench.spec.shapes import resolve
from bench.spec.training import Adam, Sgd

STREAM = np.random.default_rng(3)


@pytest.mark.parametrize(
    "optimizer",
    [
        Sgd(momentum=0),
        Sgd(),
        Sgd(nesterov=True, l2=0.01),
        Adam(),
        Adam(beta1=0.5, beta2=0.7, epsilon=0.1, l2=0.01),
    ],
)
def test_an_update_rule_agrees_with_the_numpy_backend(optimizer):
    start, series = STREAM.standard_normal(5), STREAM.standard_normal((4, 5))
    rates = np.array([0.1, 0.3, 0.01, 0.2])
    expected, gradients = start.copy(), np.empty(5)
    step = numpy_update_rule(optimizer, expected, gradients)
    rule = update_rule(optimizer, np.sqrt)
    weights = {"w": start}
    slots = initial_slots(rule, weights, np.zeros_like)
    columns = settings_of_steps(rule, rates, np.arange(4), np.float64)
    for number, gradient in enumerate(series):
        gradients[:] = gradient
        step(rates[number])
        settings = [column[number] for column in columns]
        weights, slots = updated(rule, weights, {"w": gradient}, slots, settings)
    np.testing.assert_allclose(weights["w"], expected, rtol=1e-12)


@singledispatch
def forward(layer, node, x, run):
    raise AssertionError(layer)


@forward.register
def _(layer: BatchNorm, node, x, run):
    return x * run


register_composites(
    forward,
    concatenate=lambda outputs, run: np.concatenate(outputs, -1),
    as_map=lambda vector: vector[:, None, None],
)


def output(layer, x):
    node = resolve(layer, x.shape[1:])
    return forward(node.layer, node, x, 2)


def test_composites_combine_the_outputs_of_their_branches():
    x = STREAM.standard_normal((3, 4, 4, 2))
    doubled = BatchNorm()
    np.testing.assert_array_equal(output(sequential(doubled, doubled), x), 4 * x)
    np.testing.assert_array_equal(output(add(Identity(), doubled), x), x + 2 * x)
    np.testing.assert_array_equal(output(multiply(Identity(), doubled), x), 2 * x * x)
    both = output(concatenate(doubled, Identity()), x)
    np.testing.assert_array_equal(both, np.concatenate([2 * x, x], -1))


def test_an_unsupported_layer_is_named():
    model = resolve(sequential(Flatten(), Dense(2)), (2, 2, 1))
    with pytest.raises(Unsupported, match=r"Fake does not support layer flatten at 0\.flatten"):
        require_layers("Fake", model, forward)


def test_a_model_that_flattens_first_receives_vectors():
    assert takes_vectors(resolve(sequential(sequential(Flatten()), Dense(2)), (2, 2, 1)))
    assert not takes_vectors(resolve(sequential(BatchNorm(), Flatten()), (2, 2, 1)))


def test_running_statistics_use_the_unbiased_variance():
    node = resolve(sequential(BatchNorm(momentum=0.75)), (2, 2, 1)).children[0]
    following = next_statistics(node.layer, node, (0.0, 1.0), (4.0, 3.0), count=4)
    assert following == (1.0, 0.75 + 0.25 * 4.0)
    with pytest.raises(ValueError, match="choose a larger batch size"):
        bessel(1, "0.batch_norm")


def test_layout_conversions_can_be_reversed():
    kernel, images = STREAM.standard_normal((3, 3, 2, 5)), STREAM.standard_normal((4, 6, 7, 2))
    assert kernel_first(kernel).shape == (5, 2, 3, 3)
    np.testing.assert_array_equal(canonical_kernel(kernel_first(kernel)), kernel)
    assert maps_first(images, np.float32).shape == (4, 2, 6, 7)
    assert maps_first(images, np.float32).dtype == np.float32
    matrix = STREAM.standard_normal((3, 2))
    np.testing.assert_array_equal(kernel_first(matrix), matrix)


class Checked(Backend):
    recipe = Recipe(
        name="checked",
        title="Checked",
        requirements=("checked",),
        modes=("eager", "scan"),
        default_modes=("eager",),
        adapter="",
        inputs=("resident", "pipeline"),
        parallel_modes=("eager",),
    )
    optimizers = ("sgd",)

    def __init__(self, threads):
        pass

    def versions(self):
        return {}

    def devices(self):
        return [Device("cpu")]

    def inputs(self, mode):
        return self.recipe.inputs if mode == "eager" else ("resident",)

    def _session(self, workload):
        return workload


ASKED = Workload(None, Sgd(), {}, None, None, Device("cpu"), "eager")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": Device("gpu", 1)}, "device 'gpu:1'; it supports cpu"),
        ({"mode": "graph"}, "mode 'graph'; it supports eager, scan"),
        ({"precision": "float16"}, "precision 'float16' on cpu; it supports float32"),
        ({"mode": "scan", "input": "pipeline"}, "input 'pipeline' in mode scan; it supports resid"),
        ({"optimizer": Adam()}, "optimizer 'adam'; it supports sgd"),
        ({"mode": "scan", "world_size": 2}, "mode 'scan' at world size 2; it supports eager"),
    ],
)
def test_an_unsupported_workload_is_rejected_with_the_reason(change, message):
    with pytest.raises(Unsupported, match=f"Checked does not support {message}"):
        Checked(1).session(ASKED._replace(**change))


def test_a_supported_workload_gets_a_session():
    for workload in (ASKED, ASKED._replace(input="pipeline"), ASKED._replace(world_size=2)):
        assert Checked(1).session(workload) is workload
