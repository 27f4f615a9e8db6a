"""Which backends there are: those of this project, and those that other packages bring.

A package adds a backend through the entry point group `bench.backends`, whose value is a
`Recipe`. Nothing here imports a framework.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Optional

from backends.api import Recipe

# The module of each of this project's backends, and the name of its recipe there.
BUILT_IN = {
    "numpy": "backends.numpy:RECIPE",
    "torch": "backends.torch:RECIPE",
    "tensorflow": "backends.tensorflow:RECIPE",
    "jax": "backends.jax:RECIPE",
    "theano": "backends.theano:RECIPE",
    "caffe": "backends.caffe:RECIPE",
}
GROUP = "bench.backends"


class PluginError(ValueError):
    """An entry point that brings no recipe: names it and what is wrong."""


def recipes() -> dict[str, Recipe]:
    """Every backend's recipe by name, this project's first.

    Raises:
        PluginError: an entry point fails to load, is no recipe, or takes a name that is taken.
    """
    found = {name: _built_in(name) for name in BUILT_IN}
    for point in _entry_points():
        recipe = _plugged_in(point.name, point.load)
        if recipe.name in found:
            raise PluginError(f"{GROUP} {point.name}: the name {recipe.name!r} is taken")
        found[recipe.name] = recipe
    return found


def _entry_points() -> Iterable[EntryPoint]:
    if sys.version_info < (3, 10):
        return entry_points().get(GROUP, ())
    else:  # noqa: RET505 - one of the branches does not exist for a type checker
        return entry_points(group=GROUP)


def _built_in(name: str) -> Recipe:
    module, _, attribute = BUILT_IN[name].partition(":")
    recipe: Recipe = getattr(import_module(module), attribute)
    return recipe


def _plugged_in(name: str, load: object) -> Recipe:
    try:
        recipe = load() if callable(load) else None
    except Exception as error:
        raise PluginError(f"{GROUP} {name}: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Recipe):
        raise PluginError(f"{GROUP} {name}: received {recipe!r}, expected a backends.api.Recipe")
    return recipe


def installed_version(recipe: Recipe) -> Optional[str]:
    """The framework's installed version; None when one of the required packages is missing."""
    try:
        versions = [version(_distribution(text)) for text in recipe.requirements]
    except PackageNotFoundError:
        return None
    return versions[0]


def install_command(recipe: Recipe) -> str:
    """The command that installs what the backend needs."""
    return "python -m pip install " + " ".join(f"'{text}'" for text in recipe.requirements)


def not_installed(recipe: Recipe) -> str:
    """What to say of a backend whose framework is missing."""
    return f"not installed; install it with: {install_command(recipe)}"


def _distribution(requirement: str) -> str:
    """The package's name in `torch==2.13.*`."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
