"""What an import brings in: the runner's side no framework, the commands only what they need."""

import subprocess
import sys

import pytest
from support.isolation import FRAMEWORKS

pytestmark = pytest.mark.process
RUNNERS_SIDE = (
    "bench.cluster.connect",
    "bench.cluster.driver",
    "bench.cli.run",
    "bench.cli.list",
    "bench.cli.report",
    "bench.run.runner",
    "bench.run.prepare",
    "bench.verification.certify",
    "bench.verification.locate",
    "backends.registry",
    "reports",
)


def loaded_by(*statements: str) -> set[str]:
    """The top-level modules that are loaded in a fresh interpreter after the statements."""
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", "\n".join((*statements, report))]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_runners_side_imports_no_framework():
    imports = [f"import {module}" for module in RUNNERS_SIDE]
    listing = "backends.registry.recipes()"
    assert loaded_by(*imports, listing) & FRAMEWORKS == set()


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("", {"numpy", "pandas", "matplotlib", "msgspec"}),
        ("run", {"pandas", "matplotlib", "scipy", "psutil"}),
    ],
)
def test_help_loads_only_what_it_shows(command, heavy):
    typed = ["bench", *command.split(), "--help"]
    loaded = loaded_by(f"import sys; sys.argv = {typed}; from bench.cli import main; main()")
    assert loaded & (heavy | FRAMEWORKS) == set()


def test_a_session_needs_no_command_line():
    assert loaded_by("import bench.run.session") & {"click", "rich", "rich_click"} == set()


def test_the_list_of_models_loads_no_numpy_nor_what_makes_a_run():
    listing = "from bench.cli.list import list_models; list_models()"
    assert loaded_by(listing) & {"numpy", "pandas", "matplotlib", "psutil"} == set()


def test_a_worker_needs_numpy_msgspec_and_its_framework_only():
    statement = "import bench.worker.__main__, backends.numpy.backend, bench.verification.certify"
    loaded = loaded_by(statement)
    runner_side = {"click", "rich", "pandas", "matplotlib", "jinja2", "psutil"}
    runner_side |= {"platformdirs", "filelock"}
    assert "numpy" in loaded
    assert loaded & (runner_side | FRAMEWORKS) == set()
