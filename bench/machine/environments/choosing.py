"""From what is typed after --backends to recipes that know where they run."""

from collections.abc import Callable, Sequence

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backends.api import Recipe
from backends.registry import install_command, installed_version, recipes
from bench.errors import EnvironmentCreationError, InterpreterError, check_known
from bench.machine.environments.blueprint import WORKER_REQUIREMENTS, Blueprint, blueprint
from bench.machine.environments.inspection import held_by
from bench.machine.environments.making import make
from bench.machine.environments.selector import ALL, Selector, parse_selector
from bench.machine.environments.store import folder_of, interpreter_of, read
from bench.records.manifest import MissingBackend

Tell = Callable[[str], None]


class Chosen(msgspec.Struct, frozen=True):
    """The backends of a command: their recipes, and those that `all` left out."""

    recipes: list[Recipe]
    missing: list[MissingBackend]


def choose_backends(
    received: Sequence[str], on_gpu: bool = False, tell: Tell | None = None
) -> Chosen:
    """The recipes asked for; `all` means those installed here and those with an environment.

    Args:
        received: names, with or without a version or an interpreter.
        on_gpu: whether environments are to serve a GPU.
        tell: called with what takes time. Without it no environment is made: a backend whose
            environment is not there is absent.

    Raises:
        ChoiceError: a name that no backend has, or a version that is none.
    """
    known = recipes()
    if list(received) == [ALL]:
        found = {name: present(recipe, on_gpu) for name, recipe in known.items()}
        missing = [
            MissingBackend(name, how_to_get(known[name]))
            for name, each in found.items()
            if not each
        ]
        return Chosen([each for each in found.values() if each], missing)
    selectors = [parse_selector(text) for text in received]
    check_known([each.name for each in selectors], known, "backend")
    return Chosen([_chosen(each, known[each.name], on_gpu, tell) for each in selectors], [])


def how_to_get(recipe: Recipe) -> str:
    """The command after which the backend is there."""
    return f"bench env create {recipe.name}" if recipe.isolated else install_command(recipe)


def present(recipe: Recipe, on_gpu: bool) -> Recipe | None:
    """The recipe as it can run now, without making anything; None if it cannot."""
    if installed_version(recipe) is not None:
        return recipe
    return _made_before(recipe, blueprint(recipe, on_gpu=on_gpu))


def _chosen(selector: Selector, recipe: Recipe, on_gpu: bool, tell: Tell | None) -> Recipe:
    recipe = msgspec.structs.replace(recipe, name=selector.text)
    if selector.interpreter:
        return _in_users(recipe, selector)
    if not selector.version:
        here = present(recipe, on_gpu)
        if here is not None or not recipe.isolated:
            return here or recipe
    wanted = blueprint(
        msgspec.structs.replace(recipe, name=selector.name), selector.version, on_gpu
    )
    recipe = msgspec.structs.replace(recipe, requirements=wanted.requirements)
    made = _made_before(recipe, wanted)
    if made is not None:
        return made
    if tell is None:
        return msgspec.structs.replace(recipe, absence="its environment is made when it runs")
    try:
        make(wanted, tell)
    except EnvironmentCreationError as error:
        return msgspec.structs.replace(recipe, absence=str(error))
    return _made_before(recipe, wanted) or recipe


def _made_before(recipe: Recipe, wanted: Blueprint) -> Recipe | None:
    folder = folder_of(wanted)
    found = read(folder)
    if found is None:
        return None
    return msgspec.structs.replace(
        recipe,
        requirements=wanted.requirements,
        interpreter=interpreter_of(folder),
        packages=found.packages,
    )


def _in_users(recipe: Recipe, selector: Selector) -> Recipe:
    """The recipe in the environment that the user named."""
    try:
        held = held_by(selector.interpreter)
    except InterpreterError as error:
        return msgspec.structs.replace(recipe, absence=str(error))
    needed = (*recipe.requirements, *WORKER_REQUIREMENTS)
    # A version that is not the recipe's is what the user wants to see; only what is lacking counts.
    lacking = [text for text in needed if _name(text) not in held.packages]
    if lacking:
        command = f"{selector.interpreter} -m pip install {' '.join(map(repr, lacking))}"
        reason = f"{selector.interpreter} lacks {', '.join(lacking)}; install it with: {command}"
        return msgspec.structs.replace(recipe, absence=reason)
    return msgspec.structs.replace(recipe, interpreter=selector.interpreter, packages=held.packages)


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)
