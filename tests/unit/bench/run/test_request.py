"""Options mean the same as text, in a run file and in Python; invalid values are reported."""

import tomllib
from pathlib import Path

import pytest

from bench.records.manifest import TimeLimit
from bench.run.decode import OptionError, Seconds, decode_option
from bench.run.request import MatrixOptions, RunOptions, request_of
from bench.spec.training import Adam, Sgd


def decoded(name, value):
    kind = MatrixOptions if name in MatrixOptions.__struct_fields__ else RunOptions
    return decode_option(kind, name, value)


@pytest.mark.parametrize(
    ("name", "text", "toml", "plain"),
    [
        ("backends", "torch, jax,torch", '["torch", "jax"]', ["torch", "jax"]),
        ("models", "mlp", '"mlp"', ["mlp"]),
        ("batch_sizes", "64,256", "[64, 256]", [64, 256]),
        ("batch_sizes", "64", "64", [64]),
        ("widths", "0.5,1", "[0.5, 1]", [0.5, 1.0]),
        ("arm", "controlled,native", '["controlled", "native"]', ["controlled", "native"]),
        ("epochs", "4", "4", 4),
        ("repeats", "7", "7", 7),
        ("timeout", "1.5h", '"90m"', 5400.0),
        ("timeout", "90", "90", 90.0),
        ("margin", "2%", '"2 %"', 0.02),
        ("margin", "0.5%", "0.005", 0.005),
        ("learning_rate", "0.1", "0.1", 0.1),
        ("until_accuracy", "1", "1", 1.0),
        ("verify", "false", "false", False),
        ("data_dir", "a/b", '"a/b"', Path("a/b")),
    ],
)
def test_an_option_means_the_same_wherever_it_is_given(name, text, toml, plain):
    assert decoded(name, text) == plain
    assert decoded(name, tomllib.loads(f"value = {toml}")["value"]) == plain
    assert decoded(name, plain) == plain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("epochs", value) for value in (0, "0", 1.5, "1.5", True, "", [1], None)],
        *[("repeats", value) for value in (0, "many", 100_000, True)],
        *[("timeout", value) for value in (0, "soon", "-1s", True, "1e9", [1])],
        *[("margin", value) for value in (0.0, 1.0, 2, "0%", "100%", "x")],
        *[("batch_sizes", value) for value in ([], "", [0], [True], "64,x", list(range(1, 102)))],
        *[("widths", value) for value in ("0", "nan", "inf", [10_000])],
        *[("scaling", value) for value in ("linear", [])],
        *[("verify", value) for value in (0, 1, "yes")],
        *[("data_dir", value) for value in ("", 3, "\udcff", "\0")],
        *[("backends", value) for value in ([3], "\udcff")],
    ],
)
def test_an_invalid_value_is_rejected_with_the_expected_format(name, value):
    with pytest.raises(OptionError, match=r"cannot be .*: expected \w+") as caught:
        decoded(name, value)
    assert caught.value.option == name
    assert str(caught.value).startswith(f"--{name.replace('_', '-')} ")


def test_an_error_message_truncates_a_long_value():
    with pytest.raises(OptionError) as caught:
        decoded("epochs", "9" * 400)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"time": "1h", "repeats": 3},
            "--time cannot be combined with --repeats, which sets the number",
        ),
        ({"nesterov": True, "momentum": 0}, "--nesterov needs a momentum above 0"),
        ({"epoch": 3}, "--epoch does not exist"),
    ],
)
def test_options_that_cannot_be_combined_are_rejected(values, message):
    with pytest.raises(OptionError) as caught:
        request_of(values)
    assert str(caught.value) == message


def test_the_optimizer_has_its_own_default_learning_rate():
    assert request_of({}).options.update_rule == Sgd()
    assert request_of({"optimizer": "adam"}).options.update_rule == Adam()
    given = request_of({"learning_rate": 0.5, "nesterov": True, "l2": 0.1}).options
    assert given.update_rule == Sgd(learning_rate=0.5, nesterov=True, l2=0.1)


def test_the_time_limits_the_repeats_unless_their_number_is_requested():
    options = request_of({"time": "2m"}).options
    assert (options.first_repeats, options.time_limit) == (1, TimeLimit(120))
    assert request_of({}).options.time_limit == TimeLimit(300)
    options = request_of({"repeats": 4}).options
    assert (options.first_repeats, options.time_limit) == (4, None)


@pytest.mark.parametrize(("seconds", "typed"), [(600, "10m"), (90, "90s"), (0.5, "0.5s")])
def test_a_duration_is_shown_in_the_format_of_the_option(seconds, typed):
    assert str(Seconds(seconds)) == typed
    assert Seconds.parse(typed) == seconds
