"""The package of docs/adding-a-backend.md: built, installed into a new environment, verified."""

import re
import subprocess
import sys

import pytest
from support.places import ROOT

_BLOCK = re.compile(r"```(?:python|toml)\n# (\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """Return the Python of an environment with this suite and the package."""
    package = tmp_path_factory.mktemp("package")
    page = (ROOT / "docs" / "adding-a-backend.md").read_text()
    for name, text in _BLOCK.findall(page):
        path = package / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    place = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    python = place / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", ROOT, package, "pytest"]
    subprocess.run(install, check=True, cwd=place)
    return python


@pytest.fixture
def typed(python, tmp_path):
    """Run `python -m ...` in the new environment."""

    def run(*arguments):
        return subprocess.run(
            [python, "-m", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=600
        )

    return run


def test_the_backend_and_the_model_are_listed(typed):
    listed = typed("bench", "list").stdout
    assert re.search(r"^autograd +1\.", listed, re.MULTILINE)
    assert re.search(r"^two_layers .*784-32-10 with tanh", listed, re.MULTILINE)


def test_its_certificate_passes(typed):
    done = typed("bench", "verify", "--backends", "autograd", "--models", "mlp,two_layers")
    assert done.returncode == 0
    assert "2 of 3 certificates passed, 1 unsupported" in done.stderr
    assert "unsupported: layer conv at 0.conv" in done.stdout


def test_it_is_measured_in_a_run_with_another_backend(typed, tmp_path, records):
    options = ["--backends", "numpy,autograd", "--models", "two_layers", "--repeats", "1"]
    few = ["--train-samples", "2000", "--epochs", "1", "--output", "out"]
    done = typed("bench", "run", *options, *few)
    assert done.returncode == 0, done.stderr
    found = records(tmp_path / "out")
    assert {name: record["outcome"] for name, record in found.items()} == {
        "numpy": "ok",
        "autograd": "ok",
    }
    assert {record["equivalence"] for record in found.values()} == {"passed"}


def test_it_passes_the_conformance_suite(typed):
    suite = [
        "--pyargs",
        "bench.verification.conformance",
        "--evenbench",
        "autograd",
        "-p",
        "no:cacheprovider",
    ]
    done = typed("pytest", "-q", "-rs", *suite)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    assert "unsupported: layer conv" in done.stdout


def test_the_conformance_suite_requires_a_backend_name(typed):
    done = typed("pytest", "-q", "--pyargs", "bench.verification.conformance")
    assert done.returncode == 4
    assert (
        "received --evenbench without a name, expected one or more of numpy"
        in done.stderr + done.stdout
    )
