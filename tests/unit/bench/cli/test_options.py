"""The command line has the options of the structs, and help shows them in panels."""

import sys

import pytest

from bench.cli import main
from bench.cli.options import HELP, request_from
from bench.cli.run import command
from bench.run.request import MatrixOptions, RunOptions, request_of


def options_of(*arguments):
    """Return the options of `bench run` as click passes them on."""
    params = command.make_context("run", list(arguments)).params
    names = (*MatrixOptions.__struct_fields__, *RunOptions.__struct_fields__)
    return {name: value for name, value in params.items() if name in names}


def test_every_option_has_one_help_text():
    names = [name for helps in HELP.values() for name in helps]
    assert len(names) == len(set(names))
    # The command line sets variables per backend: jax[NAME=value].
    fields = {*MatrixOptions.__struct_fields__, *RunOptions.__struct_fields__} - {"environment"}
    assert set(names) == fields


def test_a_command_without_options_is_the_default_request():
    assert request_from(options_of()) == request_of({})


def test_click_fills_the_struct_of_the_options():
    typed = ["--backends", "torch,jax", "--batch-sizes", "8,16", "--no-verify", "--nesterov"]
    typed += ["--arm", "controlled", "--arm", "native", "--timeout", "2m", "--margin", "2%"]
    assert request_from(options_of(*typed)) == request_of(
        {
            "backends": ["torch", "jax"],
            "batch_sizes": [8, 16],
            "verify": False,
            "nesterov": True,
            "arm": ["controlled", "native"],
            "timeout": 120,
            "margin": "2%",
        }
    )


def shown(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    status = main()
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_help_shows_the_options_in_panels(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    status, out, _ = shown(monkeypatch, capsys, "run", "--help")
    assert status == 0
    titles = [line.strip("╭─╮\n ") for line in out.splitlines() if line.startswith("╭")]
    panels = ["What to compare", "Training", "Measuring", "Data", "Cluster", "Output"]
    assert titles[: len(panels)] == panels
    for name in ("--backends", "--epochs", "--repeats", "--data-dir", "--cluster", "--output"):
        assert name in out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["run", "--epochs", "0"], "--epochs cannot be '0': expected a whole number from"),
        (["run", "--epoch", "1"], "No such option"),
        (["run", "--time", "1m", "--repeats", "2"], "--time cannot be combined with --repeats"),
        (["run", "--hosts", "2", "--backends", "numpy"], "--hosts needs --cluster"),
        (["run", "--resume", "x", "--epochs", "1"], "--epochs cannot be combined with --resume"),
        (["run", "x.toml", "--seed", "1"], "--seed cannot be combined with a run file"),
        (["rum"], "No such command 'rum'"),
    ],
)
def test_an_error_is_one_sentence(monkeypatch, capsys, arguments, error):
    status, out, err = shown(monkeypatch, capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"Error: {error}")
    assert "Usage" not in err
