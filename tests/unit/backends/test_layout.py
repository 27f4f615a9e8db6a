"""Every backend's folder has the same file names, and a recipe that names its adapter."""

from pathlib import Path

import pytest

import backends
from backends.registry import BUILT_IN, recipes

ROOT = Path(backends.__file__).parent
FOLDERS = sorted({adapter.split(":")[0].split(".")[1] for adapter in BUILT_IN.values()})
REQUIRED = {"__init__", "backend", "session", "lowering", "optimizers", "weights"}
OPTIONAL = {"steps", "pipeline", "parallel", "peak", "native", "platform"}
# Additional files of a backend, each of which keeps another file short.
MORE = {
    "caffe": {"messages"},
    "flax": {"modules"},
    "jax": {"cpu_windows", "windowed"},
    "keras": {"engine", "on_jax", "on_tensorflow", "on_torch"},
    "mlx": {"convolution", "windows"},
    "numpy": {"activations", "convolution", "normalisation", "passes", "windows"},
    "paddle": {"modules", "normalisation", "static_session"},
    "tensorflow": {"normalisation", "windows"},
    "theano": {"engine", "on_pytensor", "on_theano"},
    "torch": {"modules"},
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_has_the_required_files(folder):
    files = {path.stem for path in (ROOT / folder).glob("*.py")}
    assert files >= REQUIRED
    assert files - REQUIRED - OPTIONAL == MORE.get(folder, set())


def test_every_folder_belongs_to_a_registered_backend():
    assert sorted(path.parent.name for path in ROOT.glob("*/__init__.py")) == FOLDERS


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_adapter_is_a_class_in_the_backends_folder(name):
    module, _, adapter = recipes()[name].adapter.partition(":")
    path = ROOT.parent / f"{module.replace('.', '/')}.py"
    assert f"\nclass {adapter}(" in path.read_text()
