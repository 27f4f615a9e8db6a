"""All backends: those of this project, and those of other packages.

A package adds a backend through the entry point group `bench.backends`, whose value is a `Recipe`.
Nothing here imports a framework.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Optional

import msgspec

from backends.api import Recipe
from bench.spec.plugins import entry_points_of, load_entry_point, plugin_error

# The module and name of each recipe of this project.
BUILT_IN = {
    "numpy": "backends.numpy:RECIPE",
    "torch": "backends.torch:RECIPE",
    "tensorflow": "backends.tensorflow:RECIPE",
    "jax": "backends.jax:RECIPE",
    "flax": "backends.flax:RECIPE",
    "keras-tensorflow": "backends.keras:TENSORFLOW",
    "keras-jax": "backends.keras:JAX",
    "keras-torch": "backends.keras:TORCH",
    "mlx": "backends.mlx:RECIPE",
    "paddle": "backends.paddle:RECIPE",
    "theano": "backends.theano:THEANO",
    "caffe": "backends.caffe:RECIPE",
    "pytensor": "backends.theano:PYTENSOR",
    "tinygrad": "backends.tinygrad:RECIPE",
}
GROUP = "bench.backends"


def recipes() -> dict[str, Recipe]:
    """Return the recipes of all backends by name; this project's come first.

    Raises:
        bench.errors.PluginError: an entry point fails to load, is no recipe, or takes a name
            of another backend.
    """
    found = {name: _built_in(name) for name in BUILT_IN}
    for point in entry_points_of(GROUP):
        recipe = load_entry_point(point)
        if not isinstance(recipe, Recipe):
            raise plugin_error(point, f"received {recipe!r}, expected a backends.api.Recipe")
        if recipe.name in found:
            raise plugin_error(point, f"there is another backend of the name {recipe.name!r}")
        found[recipe.name] = recipe
    return found


def _built_in(name: str) -> Recipe:
    module, _, attribute = BUILT_IN[name].partition(":")
    recipe: Recipe = getattr(import_module(module), attribute)
    return recipe


def installed_version(recipe: Recipe) -> Optional[str]:
    """Return the framework's version in the workers' environment; None where it is missing."""
    if recipe.absence:
        return None
    names = [_distribution(text) for text in recipe.requirements]
    if recipe.interpreter:
        return recipe.packages.get(_canonical(names[0]))
    try:
        found = {name: version(name) for name in names}
    except PackageNotFoundError:
        return None
    return found[names[0]]


def engine_of(recipe: Recipe) -> Recipe:
    """Return the recipe of the backend that measures the peak rates of this one's framework.

    It has the same environment. Where that has no version of it, or there is no such backend, it is
    the recipe itself.
    """
    engine = recipes().get(recipe.engine)
    if engine is None:
        return recipe
    here = msgspec.structs.replace(engine, interpreter=recipe.interpreter, packages=recipe.packages)
    return recipe if installed_version(here) is None else here


def install_command(recipe: Recipe) -> str:
    """Return the command that installs the backend's requirements."""
    return "python -m pip install " + " ".join(f"'{text}'" for text in recipe.requirements)


def not_installed(recipe: Recipe) -> str:
    """Return why a backend cannot run, and how to install it."""
    return recipe.absence or f"not installed; install it with: {install_command(recipe)}"


def _distribution(requirement: str) -> str:
    """Return the package's name in a requirement: `torch` for `torch==2.13.*`."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _canonical(name: str) -> str:
    """Return the normalised name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
