"""From the names after --backends to recipes that know which Python runs them."""

from collections.abc import Callable, Sequence

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backends.api import Recipe
from backends.registry import install_command, installed_version, recipes
from bench.errors import EnvironmentCreationError, InterpreterError, check_known
from bench.machine.environments.creation import create_environment
from bench.machine.environments.pythons import inspect_interpreter
from bench.machine.environments.selector import ALL, Selector, parse_selector
from bench.machine.environments.store import (
    WORKER_REQUIREMENTS,
    Blueprint,
    blueprint,
    folder_of,
    interpreter_of,
    read,
)
from bench.records.manifest import MissingBackend

Notify = Callable[[str], None]


class BackendChoice(msgspec.Struct, frozen=True):
    """The backends of a command.

    Attributes:
        recipes: of the backends, which may turn out not to be installed.
        missing: backends that `all` leaves out because they are not installed.
    """

    recipes: list[Recipe]
    missing: list[MissingBackend]


def choose_backends(
    received: Sequence[str], on_gpu: bool = False, notify: Notify | None = None
) -> BackendChoice:
    """Find the recipes of the requested backends and the Python that runs each.

    `all` means the backends that are installed here or have an environment.

    Args:
        received: names, each with an optional version or interpreter.
        on_gpu: whether environments are for training on a GPU.
        notify: called with a message before each step that takes time. If None, no environment is
            created, and a backend whose environment is missing counts as not installed.

    Raises:
        ChoiceError: an unknown backend or an invalid version.
    """
    known = recipes()
    if list(received) == [ALL]:
        by_name = {name: available(recipe, on_gpu) for name, recipe in known.items()}
        missing = [
            MissingBackend(name, installation_hint(known[name]))
            for name, recipe in by_name.items()
            if recipe is None
        ]
        return BackendChoice([recipe for recipe in by_name.values() if recipe], missing)
    parsed = [parse_selector(text) for text in received]
    # Contenders that differ only in their environment variables share a recipe.
    selectors = list({each.text: each for each in parsed}.values())
    check_known([each.name for each in selectors], known, "backend")
    chosen = [_choose(each, known[each.name], on_gpu, notify) for each in selectors]
    return BackendChoice(chosen, [])


def installation_hint(recipe: Recipe) -> str:
    """Return the command that installs the backend."""
    return f"bench env create {recipe.name}" if recipe.isolated else install_command(recipe)


def available(recipe: Recipe, on_gpu: bool) -> Recipe | None:
    """Return the recipe with a Python that can run it now, without creating an environment.

    Args:
        recipe: the backend's recipe.
        on_gpu: whether the environment is for training on a GPU.

    Returns:
        The recipe, or None if the backend is installed nowhere.
    """
    if installed_version(recipe) is not None:
        return recipe
    return _in_environment(recipe, blueprint(recipe, on_gpu=on_gpu))


def _choose(selector: Selector, recipe: Recipe, on_gpu: bool, notify: Notify | None) -> Recipe:
    recipe = msgspec.structs.replace(recipe, name=selector.text)
    if selector.interpreter:
        return _in_users_environment(recipe, selector)
    if not selector.version:
        here = available(recipe, on_gpu)
        if here is not None or not recipe.isolated:
            return here or recipe
    unnamed = msgspec.structs.replace(recipe, name=selector.name)
    wanted = blueprint(unnamed, selector.version, on_gpu)
    recipe = msgspec.structs.replace(recipe, requirements=wanted.requirements)
    existing = _in_environment(recipe, wanted)
    if existing is not None:
        return existing
    if notify is None:
        return msgspec.structs.replace(recipe, absence="its environment is created when it runs")
    try:
        create_environment(wanted, notify)
    except EnvironmentCreationError as error:
        return msgspec.structs.replace(recipe, absence=str(error))
    return _in_environment(recipe, wanted) or recipe


def _in_environment(recipe: Recipe, wanted: Blueprint) -> Recipe | None:
    """Return the recipe with its cached environment; None if there is none."""
    folder = folder_of(wanted)
    environment = read(folder)
    if environment is None:
        return None
    return msgspec.structs.replace(
        recipe,
        requirements=wanted.requirements,
        interpreter=interpreter_of(folder),
        packages=environment.packages,
    )


def _in_users_environment(recipe: Recipe, selector: Selector) -> Recipe:
    """Return the recipe with the interpreter that the user named."""
    try:
        contents = inspect_interpreter(selector.interpreter)
    except InterpreterError as error:
        return msgspec.structs.replace(recipe, absence=str(error))
    needed = (*recipe.requirements, *WORKER_REQUIREMENTS)
    # The user may want another version than the recipe's, so only missing packages count.
    missing = [text for text in needed if _package(text) not in contents.packages]
    if missing:
        command = f"{selector.interpreter} -m pip install {' '.join(map(repr, missing))}"
        reason = f"{', '.join(missing)} is missing in {selector.interpreter}; install it: {command}"
        return msgspec.structs.replace(recipe, absence=reason)
    return msgspec.structs.replace(
        recipe, interpreter=selector.interpreter, packages=contents.packages
    )


def _package(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)
