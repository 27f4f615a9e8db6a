"""Every option with every kind of invalid value: one message, status 2, and nothing written.

In this process and with --dry-run, so that there can be many; test_cli does a few as a person
would.
"""

import sys

import pytest
from support.idx_files import small_arrays, write_set

from bench.cli import main
from bench.spec.layers import LARGEST

HUGE = "9" * 400
NOT_TEXT = "\udcff"  # the byte 255 of a command line, as Python holds it

BAD = [
    *[("--batch-sizes", value) for value in ("", ",", "0", "-1", "1.5", "nan", "x", HUGE, "8" * 7)],
    ("--batch-sizes", ",".join(map(str, range(1, 102)))),
    *[("--epochs", value) for value in ("", "0", "-1", "1.5", "x", "100001", HUGE)],
    *[("--repeats", value) for value in ("", "0", "-1", "100001", HUGE)],
    *[("--seed", value) for value in ("", "-1", "0.5", "2147483649", HUGE)],
    *[("--threads", value) for value in ("", "0", "-1", "100000", HUGE)],
    *[("--world-size", value) for value in ("", "0", "-1", "1.5", "x", "100000", HUGE)],
    *[("--widths", value) for value in ("", "0", "-1", "nan", "x", "0.0", "100000", HUGE)],
    *[("--scaling", value) for value in ("", "linear", NOT_TEXT)],
    *[("--timeout", value) for value in ("", "0", "-1s", "nan", "inf", "10d", "1e9", HUGE)],
    *[("--train-samples", value) for value in ("", "0", "17", HUGE)],
    *[("--learning-rate", value) for value in ("", "0", "-1", "nan", "inf", "1000", HUGE)],
    *[("--momentum", value) for value in ("", "1", "-0.1", "nan", "x")],
    *[("--l2", value) for value in ("", "1", "-0.1", "nan", "x")],
    *[("--optimizer", value) for value in ("", "lbfgs", "SGD")],
    *[("--arm", value) for value in ("", "both")],
    *[("--backends", value) for value in ("", ",", "nunpy", "all,numpy", HUGE, NOT_TEXT, "../x")],
    *[("--modes", value) for value in ("", "eagre", "all,eager", NOT_TEXT)],
    *[("--devices", value) for value in ("", "tpu", "gpu:-1", "gpu:x", NOT_TEXT)],
    *[("--models", value) for value in ("", "mpl", ":", "a.py:", ":f", "../../etc/passwd:f")],
    *[("--models", value) for value in (HUGE, NOT_TEXT, "/dev/zero:f", "vgg16", "mlp:mlp")],
    *[("--data-dir", value) for value in ("", "nowhere", "/dev/null", "/proc", NOT_TEXT, HUGE)],
    *[("--output", value) for value in ("", NOT_TEXT)],
    *[("--resume", value) for value in ("", "nowhere", "/dev/null", NOT_TEXT)],
    ("--unknown", "1"),
]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, cache):
    """Run the command in this process; return its status and output."""
    write_set(tmp_path / "set", small_arrays(16, 4))
    monkeypatch.chdir(tmp_path)

    def typed(*arguments: str) -> tuple[int, str]:
        whole = ["run", "--dry-run", *arguments]
        monkeypatch.setattr(sys, "argv", ["bench", *whole])
        status = main()
        return status, capsys.readouterr().err

    return typed


@pytest.fixture
def quick(tmp_path):
    return ["--data-dir", str(tmp_path / "set"), "--batch-sizes", "4", "--backends", "numpy"]


@pytest.mark.parametrize(("option", "value"), BAD)
def test_an_invalid_value_is_reported_in_one_message(run, quick, tmp_path, option, value):
    given = [] if option == "--resume" else quick
    status, said = run(*given, option, value)
    assert status == 2, said
    assert len(said.split()) > 3
    assert len(said) < 3000, "what was received is not repeated at any length"
    assert {path.name for path in tmp_path.iterdir()} <= {"set", "cache"}


def test_the_same_command_with_valid_values_succeeds(run, quick):
    assert run(*quick)[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--nesterov", "--momentum", "0"],
        ["--resume", "x", "--epochs", "3"],
        ["--backends", "numpy", "--modes", "scan"],
        ["--repeats", "100000", "--batch-sizes", "4,5"],
    ],
)
def test_contradictory_options_are_rejected(run, quick, options):
    given = [] if "--resume" in options else quick
    assert run(*given, *options)[0] == 2


def test_duplicate_names_are_dropped(run, quick, capsys):
    assert run(*quick, "--backends", "numpy,numpy", "--batch-sizes", "4,4")[0] == 0


MODELS = {
    "nested": "layer = Flatten()\n    for _ in range(200): layer = sequential(layer)",
    "nested_far": "layer = Flatten()\n    for _ in range(5000): layer = sequential(layer)",
    "wide": f"layer = sequential(Flatten(), Dense({LARGEST}), Dense({LARGEST}), Dense(3))",
    "wider": f"layer = Dense({LARGEST + 1})",
    "endless": "return endless(classes)",
    "a_class": "layer = Dense",
    "a_dict": "layer = {'kind': 'dense', 'units': 3}",
    "no_shape": "layer = sequential(Dense(3))",
    "too_small": "layer = sequential(Conv(4, 9, padding='valid'), Flatten(), Dense(3))",
    "not_text": "layer = Activation('\\udcff')",
    "infinite": "layer = BatchNorm(epsilon=float('nan'))",
    "aborts": "raise KeyboardInterrupt",
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_file_without_a_valid_model_is_rejected(run, quick, tmp_path, name):
    (tmp_path / "models.py").write_text(
        f"from bench.spec.layers import *\n\ndef {name}(classes):\n    {MODELS[name]}\n"
        "    return layer\n"
    )
    status, said = run(*quick, "--models", f"models.py:{name}")
    assert status == (130 if name == "aborts" else 2), said
    assert name == "aborts" or name in said
    assert len(said) < 3000


def test_a_command_with_undecodable_bytes_is_recorded(monkeypatch, tmp_path, cache):
    """The value of an option, such as a model's file, can contain any byte."""
    from bench.cli.sessions import typed_command

    monkeypatch.setattr(sys, "argv", ["bench", "run", NOT_TEXT])
    assert typed_command() == "python -m bench run '\\udcff'"
