"""The spec of a model: layers as values, shape inference, counts of parameters and operations."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ShapeError
from bench.spec import layers
from bench.spec.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    MaxPool,
    Sequential,
    add,
    concatenate,
    from_json,
    multiply,
    sequential,
    to_json,
)
from bench.spec.parameters import count_macs, count_parameters, count_training_flops
from bench.spec.shapes import resolve

MAP = (28, 28, 6)

small = st.integers(1, 4)
odd = st.sampled_from([1, 3, 5])
padding = st.sampled_from(layers.PADDINGS)
leaves = st.one_of(
    st.builds(Dense, units=small, bias=st.booleans()),
    st.builds(Conv, filters=small, kernel=odd, stride=small, padding=padding, bias=st.booleans()),
    st.builds(DepthwiseConv, kernel=odd, stride=small, padding=padding, bias=st.booleans()),
    st.builds(BatchNorm, momentum=st.floats(0, 0.99), epsilon=st.floats(1e-8, 0.1)),
    st.builds(Activation, function=st.sampled_from(layers.ACTIVATIONS)),
    st.builds(MaxPool, size=odd, stride=st.none() | small, padding=padding),
    st.builds(AvgPool, size=small, stride=st.none() | small),
    st.sampled_from([GlobalAvgPool(), Flatten(), Identity()]),
    st.builds(Dropout, rate=st.floats(0, 0.9)),
)
composites = st.sampled_from([layers.Sequential, layers.Add, layers.Concatenate, layers.Multiply])


def composite_of(parts):
    return st.builds(lambda kind, chosen: kind(tuple(chosen)), composites, parts)


trees = st.recursive(leaves, lambda inner: composite_of(st.lists(inner, min_size=1, max_size=3)))


@given(trees)
@settings(max_examples=100, deadline=None)
def test_every_layer_round_trips_through_json(layer):
    assert from_json(to_json(layer)) == layer


@given(trees)
@settings(max_examples=100, deadline=None)
def test_a_tree_resolves_with_positive_shapes_or_reports_why_not(layer):
    nodes, fault = [], ""
    try:
        nodes = list(resolve(layer, MAP).walk())
    except ShapeError as error:
        fault = str(error)
    assert nodes or re.fullmatch(r".+: received .+, expected .+", fault)
    assert all(extent >= 1 for node in nodes for extent in node.output_shape)
    assert len({node.path for node in nodes}) == len(nodes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "received units=0, expected units to be a whole number from 1"),
        (lambda: Dense(True), "received units=True"),
        (lambda: Dense(1.5), "received units=1.5"),
        (lambda: Conv(-1, 3), "received filters=-1"),
        (lambda: Conv(8, 3, stride=0), "received stride=0"),
        (lambda: Conv(8, 2), "received padding='same' with kernel=2, expected an odd kernel"),
        (lambda: Conv(8, 3, padding="full"), "received padding='full', expected one of same, val"),
        (lambda: Conv(8, 3, groups=3), "received filters=8 with groups=3, expected filters to be"),
        (lambda: DepthwiseConv(4), "received padding='same' with kernel=4"),
        (lambda: BatchNorm(momentum=1), "received momentum=1, expected 0 <= momentum < 1"),
        (lambda: BatchNorm(epsilon=0), "received epsilon=0, expected 0 < epsilon < 1"),
        (lambda: Activation("rleu"), "received function='rleu', expected one of relu, relu6"),
        (lambda: MaxPool(2, padding="same"), "received padding='same' with size=2"),
        (lambda: MaxPool(0), "received size=0"),
        (lambda: AvgPool(2, 0), "received stride=0"),
        (lambda: Dropout(1.0), "received rate=1.0, expected 0 <= rate < 1"),
        (lambda: Sequential(()), "received no parts, expected at least one layer"),
        (lambda: Sequential([Flatten()]), "expected a tuple of layers"),
        (lambda: add(Flatten(), "relu"), "expected a tuple of layers"),
    ],
)
def test_a_value_out_of_range_is_reported_with_the_expected_range(make, message):
    with pytest.raises(ValueError, match=r"^received ") as fault:
        make()
    assert message in str(fault.value)


def test_layers_cannot_be_changed():
    with pytest.raises(AttributeError):
        Dense(3).units = 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "dense", "units": 3, "unit": 4}', "unknown field `unit`"),
        ('{"kind": "lstm"}', "Invalid value 'lstm' - at `$.kind`"),
        ('{"kind": "add", "parts": [{"kind": "dense"}]}', "`units` - at `$.parts[0]`"),
        ('{"kind": "add", "parts": [{"kind": "dense", "units": 0}]}', "units=0, expected"),
        ('{"kind": "conv", "filters": 8, "kernel": "3"}', "got `str` - at `$.kernel`"),
    ],
)
def test_errors_in_json_are_reported_with_their_path(text, message):
    with pytest.raises(msgspec.ValidationError) as fault:
        from_json(text)
    assert message in str(fault.value)


@pytest.mark.parametrize(
    ("layer", "output"),
    [
        (Conv(8, 3), (28, 28, 8)),
        (Conv(8, 3, stride=2), (14, 14, 8)),
        (Conv(8, 5, padding="valid"), (24, 24, 8)),
        (Conv(8, 7, stride=3, padding="valid"), (8, 8, 8)),
        (Conv(9, 1, stride=2, groups=3), (14, 14, 9)),
        (DepthwiseConv(5, stride=2), (14, 14, 6)),
        (BatchNorm(), MAP),
        (Activation("gelu"), MAP),
        (MaxPool(2), (14, 14, 6)),
        (MaxPool(3), (9, 9, 6)),
        (MaxPool(3, 1, "same"), MAP),
        (MaxPool(3, 2, "same"), (14, 14, 6)),
        (AvgPool(3, 2), (13, 13, 6)),
        (GlobalAvgPool(), (6,)),
        (Flatten(), (28 * 28 * 6,)),
        (Dropout(0.5), MAP),
        (Identity(), MAP),
        (sequential(Flatten(), Dense(7)), (7,)),
        (add(Identity(), Conv(6, 3)), MAP),
        (concatenate(Identity(), Conv(4, 1)), (28, 28, 10)),
        (concatenate(Flatten(), GlobalAvgPool()), (28 * 28 * 6 + 6,)),
        (multiply(Identity(), GlobalAvgPool()), MAP),
        (multiply(GlobalAvgPool(), GlobalAvgPool()), (6,)),
    ],
)
def test_each_layer_has_its_output_shape(layer, output):
    assert resolve(layer, MAP).output_shape == output


@pytest.mark.parametrize(
    ("layer", "path", "received", "expected"),
    [
        (Dense(3), "0.dense", "the shape (28, 28, 6)", "put Flatten or GlobalAvgPool before"),
        (sequential(Flatten(), Conv(3, 3)), "0.sequential/1.conv", "(4704,)", "for conv"),
        (
            sequential(Flatten(), GlobalAvgPool()),
            "0.sequential/1.global_avg_pool",
            "(4704,)",
            "channels)",
        ),
        (Conv(3, 29, padding="valid"), "0.conv", "a map of 28 x 28", "at least 29 x 29"),
        (Conv(4, 3, groups=4), "0.conv", "6 channels", "a multiple of groups=4"),
        (DepthwiseConv(31, padding="valid"), "0.depthwise_conv", "28 x 28", "at least 31"),
        (MaxPool(29), "0.max_pool", "a map of 28 x 28", "at least 29 x 29"),
        (AvgPool(30), "0.avg_pool", "a map of 28 x 28", "at least 30 x 30"),
        (add(Identity(), Conv(5, 3)), "0.add", "(28, 28, 5)", "branches of one shape"),
        (concatenate(Identity(), MaxPool(2)), "0.concatenate", "(14, 14, 6)", "one height and"),
        (multiply(Identity(), Conv(5, 3)), "0.multiply", "(28, 28, 5)", "(28, 28, 6) or (6,)"),
    ],
)
def test_a_shape_mismatch_is_reported_with_the_layers_path_and_the_expected_shape(
    layer, path, received, expected
):
    with pytest.raises(ShapeError) as fault:
        resolve(sequential(layer), MAP)
    place, _, rest = str(fault.value).partition(": received ")
    got, _, wanted = rest.partition(", expected ")
    assert place == path
    assert received in got
    assert expected in wanted


def test_an_error_in_a_model_of_one_layer_has_no_path():
    with pytest.raises(ShapeError, match=r"^the model: received the shape \(28, 28\)"):
        resolve(Conv(3, 3), (28, 28))


def test_a_value_that_is_not_a_layer_is_rejected():
    with pytest.raises(ShapeError, match="received 3, expected a layer"):
        resolve(3, MAP)


@pytest.mark.parametrize(
    ("layer", "parameters", "macs"),
    [
        (sequential(Flatten(), Dense(10)), 4704 * 10 + 10, 4704 * 10),
        (sequential(Flatten(), Dense(10, bias=False)), 4704 * 10, 4704 * 10),
        (Conv(8, 3), 3 * 3 * 6 * 8 + 8, 28 * 28 * 3 * 3 * 6 * 8),
        (Conv(8, 3, 2, groups=2, bias=False), 3 * 3 * 3 * 8, 14 * 14 * 3 * 3 * 3 * 8),
        (DepthwiseConv(5, 2), 5 * 5 * 6 + 6, 14 * 14 * 5 * 5 * 6),
        (BatchNorm(), 2 * 6, 0),
        (concatenate(Identity(), MaxPool(3, 1, "same"), Activation("silu")), 0, 0),
    ],
)
def test_counts_equal_those_computed_by_hand(layer, parameters, macs):
    model = resolve(layer, MAP)
    assert (count_parameters(model), count_macs(model)) == (parameters, macs)


DENSE = Dense(10, bias=False)


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        # 784 x 128, 128 x 64 and 64 x 10 products; the first has no input gradient to compute.
        (
            sequential(Flatten(), Dense(128), Activation("relu"), Dense(64), Dense(10)),
            2 * (2 * 100_352 + 3 * (8_192 + 640)),
        ),
        # All branches over the image are first layers; the layers after them are not.
        (
            sequential(concatenate(Conv(2, 1), Conv(3, 1)), Flatten(), DENSE),
            2 * (2 * 784 * 5 + 3 * 784 * 5 * 10),
        ),
        # Trained weights are not always kernels.
        (sequential(BatchNorm(), Flatten(), DENSE), 2 * 3 * 784 * 10),
        (sequential(Activation("relu"), Flatten(), DENSE), 2 * 2 * 784 * 10),
        # The gate's second layer gets a gradient through its first.
        (
            sequential(
                multiply(Identity(), sequential(GlobalAvgPool(), Dense(1), Dense(1))),
                Flatten(),
                DENSE,
            ),
            2 * (2 * 1 + 3 * 1 + 3 * 784 * 10),
        ),
    ],
)
def test_a_training_step_needs_no_gradient_of_the_images(layer, flops):
    assert count_training_flops(resolve(layer, (28, 28, 1))) == flops
