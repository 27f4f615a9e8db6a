"""The extras and files that the project's metadata declares."""

import tomllib

import msgspec
from support.places import ROOT

from backends.registry import BUILT_IN, engine_of, recipes

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_each_extra_installs_the_requirements_of_its_recipe():
    known = recipes()
    for name in BUILT_IN:
        if known[name].isolated:  # it cannot share an environment, so it has no extra
            assert name not in PROJECT["optional-dependencies"]
            continue
        required = list(known[name].requirements)
        if name == "numpy":
            assert set(required) <= set(PROJECT["dependencies"])
        else:
            assert PROJECT["optional-dependencies"][name] == required


def test_the_extra_all_installs_the_frameworks_that_share_one_environment():
    """Keras is installed with TensorFlow."""
    extras = PROJECT["optional-dependencies"]
    assert extras["all"] == ["evenbench[torch,tensorflow,jax,parquet]"]
    assert {"torch", "tensorflow", "jax", "parquet"} <= set(extras)


def test_mnist_is_shipped_with_its_licence():
    folder = ROOT / "bench" / "data" / "mnist"
    assert len(list(folder.glob("*.gz"))) == 4
    assert "CC BY-SA 3.0" in (folder / "LICENSE.md").read_text()


def test_an_engine_is_a_backend_without_an_engine_in_the_same_environment():
    known = recipes()
    engines = {name: known[name].engine for name in BUILT_IN if known[name].engine}
    assert engines == {
        "flax": "jax",
        "keras-tensorflow": "tensorflow",
        "keras-jax": "jax",
        "keras-torch": "torch",
    }
    packages = {"jax": "1.0"}
    flax = msgspec.structs.replace(
        known["flax"], name="flax@python", interpreter="/python", packages=packages
    )
    assert engine_of(flax) == msgspec.structs.replace(
        known["jax"], interpreter="/python", packages=packages
    )
    keras = msgspec.structs.replace(known["keras-torch"], interpreter="/python", packages=packages)
    assert engine_of(keras) is keras, "its environment has no version of PyTorch"
    assert engine_of(known["torch"]) is known["torch"]
