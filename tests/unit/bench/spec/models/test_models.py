"""The models: published sizes, shapes, JSON, and how a user specifies one."""

from collections import Counter

import pytest

from bench.errors import ModelError
from bench.spec.layers import (
    Activation,
    Add,
    AvgPool,
    Concatenate,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Multiply,
    from_json,
    sequential,
    to_json,
)
from bench.spec.models import MODELS, build, load, names_for, widen
from bench.spec.parameters import count_macs, count_parameters
from bench.spec.shapes import resolve

# Parameters of the papers' networks; multiply-accumulates of the common
# implementations (ResNet-50 4.1 billion, MobileNet v1 569 million, v2 300 million).
SIZES = {
    "mlp": (109_386, 109_184),
    "linear_mlp": (109_386, 109_184),
    "lenet5": (61_706, 416_520),
    "cnn": (421_642, 4_241_152),
    "vgg16": (138_357_544, 15_470_264_320),
    "googlenet": (6_998_552, 1_582_671_872),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet50": (25_557_032, 4_089_184_256),
    "wrn28_10": (36_479_194, 5_243_328_768),
    "densenet121": (7_978_856, 2_834_161_664),
    "se_resnet50": (28_088_024, 4_091_699_200),
    "mobilenet_v1": (4_231_976, 568_740_352),
    "mobilenet_v2": (3_504_872, 300_774_272),
    "efficientnet_b0": (5_288_548, 385_814_752),
}

# Layers without parameters, which the sizes do not count: activations, merges, pools.
PARTS = {
    "mlp": {"relu": 2},
    "linear_mlp": {},
    "lenet5": {"tanh": 4, "avg_pool": 2},
    "cnn": {"relu": 3, "max_pool": 2},
    "vgg16": {"relu": 15, "max_pool": 5},
    "googlenet": {"relu": 57, "concatenate": 9, "max_pool": 4 + 9},
    "resnet18": {"relu": 17, "add": 8, "max_pool": 1},
    "resnet50": {"relu": 49, "add": 16, "max_pool": 1},
    "wrn28_10": {"relu": 25, "add": 12},
    "densenet121": {"relu": 121, "concatenate": 58, "max_pool": 1, "avg_pool": 3},
    "se_resnet50": {"relu": 65, "sigmoid": 16, "add": 16, "multiply": 16, "max_pool": 1},
    "mobilenet_v1": {"relu": 27},
    "mobilenet_v2": {"relu6": 35, "add": 10},
    "efficientnet_b0": {"silu": 49, "sigmoid": 16, "add": 9, "multiply": 16},
}
COUNTED = (Activation, Add, AvgPool, Concatenate, MaxPool, Multiply)

DROPOUT = {
    "vgg16": [0.5, 0.5],
    "googlenet": [0.4],
    "mobilenet_v2": [0.2],
    "efficientnet_b0": [0.2],
}

PUBLISHED = [name for name, entry in MODELS.items() if entry.published]
SMALL = [name for name in MODELS if name.endswith("_small")]

USER_FILE = """
from __future__ import annotations
import functools
from dataclasses import dataclass
from bench.spec.layers import Conv, Dense, Flatten, sequential

@dataclass
class Width:
    units: int

def takes_classes(classes, width=8):
    return sequential(Flatten(), Dense(width), Dense(classes))

def takes_nothing():
    return sequential(Flatten(), Dense(3))

def takes_too_much(depth, width): ...
def returns_nothing(): ...
def raises(): return Dense(0)
def leaves(): raise SystemExit(2)
def wrong_type(): return Dense(3, bias="no")
def mlp(): return Dense(3)

partial = functools.partial(takes_classes, 4)
constant = 3
"""


@pytest.fixture
def user_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(USER_FILE)
    return path


def root_of(name):
    return resolve(build(name), MODELS[name].input_shape)


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_as_published(name):
    model = root_of(name)
    assert (count_parameters(model), count_macs(model)) == SIZES[name]


@pytest.mark.parametrize("name", PARTS)
def test_activations_merges_pools_and_dropout_are_as_published(name):
    layers = [node.layer for node in root_of(name).walk()]
    parts = [getattr(layer, "function", layer.kind) for layer in layers if type(layer) in COUNTED]
    assert Counter(parts) == PARTS[name]
    rates = [layer.rate for layer in layers if isinstance(layer, Dropout)]
    assert rates == DROPOUT.get(name, [])


def test_every_published_form_has_its_sizes_in_this_file():
    assert set(PUBLISHED) <= set(SIZES)
    assert set(PUBLISHED) <= set(PARTS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_forms_end_in_a_feature_map_of_the_published_size(name):
    last_maps = [
        node.input_shape[:2]
        for node in root_of(name).children
        if isinstance(node.layer, GlobalAvgPool)
    ]
    expected = {"vgg16": [], "wrn28_10": [(8, 8)]}.get(name, [(7, 7)])
    assert last_maps == expected


@pytest.mark.parametrize("name", SMALL)
def test_small_forms_cost_one_to_eight_million_macs(name):
    assert 1e6 <= count_macs(root_of(name)) <= 8e6


def test_each_family_has_a_small_form():
    families = ["vgg", "googlenet", "resnet", "resnet_bottleneck", "wrn", "densenet"]
    families += ["se_resnet", "mobilenet_v1", "mobilenet_v2", "efficientnet"]
    assert {f"{family}_small" for family in families} == set(SMALL)


@pytest.mark.parametrize("name", MODELS)
def test_models_round_trip_through_json(name):
    model = build(name)
    assert from_json(to_json(model)) == model


@pytest.mark.parametrize("name", MODELS)
def test_models_return_one_logit_per_class(name):
    for classes in (None, 47):
        model = resolve(build(name, classes), MODELS[name].input_shape)
        assert model.output_shape == (classes or MODELS[name].classes,)


def test_models_are_selected_by_the_shape_that_they_fit():
    mnist = names_for((28, 28, 1))
    assert set(mnist) == set(MODELS) - set(PUBLISHED)
    assert set(names_for((32, 32, 3))) == {*mnist, "wrn28_10"}
    assert set(names_for((224, 224, 3))) == set(MODELS) - {"wrn28_10"}
    assert "lenet5" not in names_for((4, 4, 1))


@pytest.mark.parametrize(
    ("typed", "nearest"), [("lenet", "lenet5"), ("resnet-50", "resnet50"), ("mpl", "mlp")]
)
def test_an_unknown_name_is_reported_with_the_valid_names_and_the_closest_one(typed, nearest):
    with pytest.raises(ModelError) as fault:
        load(typed, 10)
    message = str(fault.value)
    assert typed in message
    assert message.endswith(f"did you mean {nearest}?")
    assert all(name in message for name in MODELS)


def test_a_name_unlike_any_other_gets_no_suggestion():
    with pytest.raises(ModelError, match="received the model 'qqq'") as fault:
        load("qqq", 10)
    assert "did you mean" not in str(fault.value)


def test_a_model_of_the_suite_loads_by_name():
    assert load("cnn", 26) == ("cnn", build("cnn", 26))


@pytest.mark.parametrize(
    ("function", "name", "outputs"),
    [
        ("takes_classes", "takes_classes", 7),
        ("takes_nothing", "takes_nothing", 3),
        ("partial", "partial", 4),
    ],
)
def test_a_function_in_a_file_is_a_model(user_file, function, name, outputs):
    loaded = load(f"{user_file}:{function}", 7)
    assert loaded.name == name
    assert resolve(loaded.layer, (28, 28, 1)).output_shape == (outputs,)


def test_a_users_model_cannot_have_the_name_of_a_model_of_the_suite(user_file):
    assert load(f"{user_file}:mlp", 10).name == "mine.mlp"


@pytest.mark.parametrize(
    ("function", "received", "expected"),
    [
        ("absent", "'absent', which does not exist in .*mine.py", "one of its .*takes_nothing"),
        ("constant", "'constant', which is no function in ", "one of its functions"),
        (
            "takes_too_much",
            r"with the parameters \(depth, width\)",
            "no parameter or only `classes`",
        ),
        ("returns_nothing", "NoneType from .*returns_nothing", "a layer of bench.spec.layers"),
        ("raises", "ValueError .*units=0", "a function that returns a layer"),
        ("leaves", "SystemExit .* from .*leaves", "a function that returns a layer"),
        ("wrong_type", r"Expected `bool`, got `str` - at `\$.bias`", "fields of valid types"),
    ],
)
def test_an_error_in_a_users_function_is_reported(user_file, function, received, expected):
    with pytest.raises(ModelError, match=f"received .*{received}.*, expected .*{expected}"):
        load(f"{user_file}:{function}", 10)


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("def (", r"SyntaxError \(.*line 1"),
        ("import absent_module", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit", "SystemExit from running"),
    ],
)
def test_a_file_that_cannot_be_executed_is_reported(tmp_path, text, received):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ModelError, match=f"received {received}.*, expected a file that runs"):
        load(f"{path}:model", 10)


def test_a_file_without_functions_is_reported(tmp_path):
    path = tmp_path / "empty.py"
    path.touch()
    with pytest.raises(ModelError, match="expected a function; the file has none"):
        load(f"{path}:model", 10)


def test_a_path_that_is_not_a_python_file_is_reported(tmp_path):
    for path in (tmp_path / "absent.py", tmp_path, "notes.txt"):
        with pytest.raises(ModelError, match="expected a Python file that exists"):
            load(f"{path}:model", 10)


def test_a_file_without_a_function_name_is_reported_with_the_expected_format():
    with pytest.raises(ModelError, match=r"path/to/file.py:function: add a colon"):
        load("mine.py", 10)


@pytest.mark.parametrize("name", names_for((28, 28, 1)))
@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_every_model_can_be_widened(name, factor):
    plain, wide = (resolve(each, (28, 28, 1)) for each in (build(name), widen(build(name), factor)))
    assert wide.output_shape == plain.output_shape
    assert (count_macs(wide) > count_macs(plain)) == (factor > 1)


def test_the_last_layer_keeps_its_width():
    wide = widen(sequential(Flatten(), Dense(6), Activation("relu"), Dense(10)), 1.5)
    assert [part.units for part in wide.parts if isinstance(part, Dense)] == [9, 10]


def test_a_width_that_leaves_no_unit_is_rejected():
    with pytest.raises(ModelError, match="6 units"):
        widen(sequential(Dense(6), Dense(10)), 0.05)
