import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli, errors
from bench.errors import ChoiceError, DataError, ModelError, ShapeError, UserError, check_known

ROOT = Path(errors.__file__).parents[1]


def _kinds():
    return [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    ]


def test_every_kind_is_a_user_error_and_is_drawn_in_the_docstring():
    kinds = [kind for kind in _kinds() if kind is not UserError]
    assert all(issubclass(kind, UserError) for kind in kinds)
    lines = errors.__doc__.splitlines()
    drawn = [line.split("── ")[1].split()[0] for line in lines if "── " in line]
    assert drawn == sorted(kind.__name__ for kind in kinds)


def test_each_kind_is_defined_only_in_bench_errors():
    names = {kind.__name__ for kind in _kinds()}
    files = [
        file for top in ("bench", "backends", "reports") for file in (ROOT / top).rglob("*.py")
    ]
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module != "bench.errors":
                assert not names & {alias.name for alias in node.names}, (file, node.lineno)
            if isinstance(node, ast.ClassDef) and file != Path(errors.__file__):
                assert node.name not in names, (file, node.lineno)


@pytest.mark.process
def test_importing_the_errors_loads_nothing_but_the_standard_library():
    script = (
        "import sys, bench.errors\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(tops - set(sys.stdlib_module_names) - {'bench', '__main__'}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def _fail_with(error):
    def main(**options):
        raise error

    return main


@pytest.mark.parametrize(
    "error",
    [
        ChoiceError("no such thing"),
        DataError("a/file", "a folder", "a file", "name the file"),
        ModelError("a file", "a function"),
        ShapeError("0.1", "(3,)", "(4,)"),
    ],
)
def test_a_user_error_ends_the_command_line_with_its_message(error, monkeypatch, capsys):
    monkeypatch.setattr(cli.cli, "main", _fail_with(error))
    assert cli.main() == 2
    assert capsys.readouterr().err == f"Error: {error}\n"


def test_any_other_value_error_is_a_bug(monkeypatch):
    monkeypatch.setattr(cli.cli, "main", _fail_with(ValueError("a fault")))
    with pytest.raises(ValueError, match="a fault"):
        cli.main()


def test_an_unknown_name_is_reported_with_the_most_similar_one():
    with pytest.raises(ChoiceError, match=r"unknown backend 'jaxx'.*did you mean jax\?"):
        check_known(["numpy", "jaxx"], ["numpy", "jax"], "backend")
