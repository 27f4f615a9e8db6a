"""`bench env`: the Python environments of backends."""

from pathlib import Path

import rich_click as click

from backends.registry import recipes
from bench.cli.console import message_console, result_console, table
from bench.errors import ChoiceError, EnvironmentCreationError, check_known, split_list
from bench.machine.environments.creation import create_environment
from bench.machine.environments.selector import ALL, parse_selector
from bench.machine.environments.store import (
    Blueprint,
    Environment,
    all_environments,
    blueprint,
    environments_folder,
    folder_of,
    read,
    remove,
    size_of,
)

DONE, SOME_FAILED = 0, 1
_MIB = 2**20


@click.group("env")
def command() -> None:
    """List, create and remove the Python environments of backends.

    A backend with a version (`jax==0.9.*`) runs in its own environment, which contains only the
    packages of its recipe. It is created when it is first needed and cached for later runs.
    """


@command.command("list")
def list_them() -> int:
    """Show all environments with their sizes on disk."""
    console = result_console()
    environments = list(all_environments())
    if not environments:
        console.print(f"no environment in {environments_folder()}", soft_wrap=True)
        return DONE
    header = ("environment", "made from", "Python", "packages", "MiB", "made by", "made at")
    rows = [_row(folder, environment) for folder, environment in environments]
    console.print(table(header, rows, right=("packages", "MiB")))
    console.print(f"in {environments_folder()}", soft_wrap=True)
    return DONE


def _row(folder: Path, environment: Environment) -> tuple[str, ...]:
    return (
        folder.name,
        ", ".join(environment.blueprint.requirements),
        environment.python,
        str(len(environment.packages)),
        f"{size_of(folder) / _MIB:,.0f}",
        environment.tool,
        environment.made_at[:10],
    )


@command.command("create")
@click.argument("backends", nargs=-1, required=True)
@click.option("--gpu", is_flag=True, help="Install the packages for training on a GPU.")
def create(backends: tuple[str, ...], gpu: bool) -> int:
    """Create the environments of BACKENDS: names with or without a version (flax, jax==0.9.*).

    Exit status: 0 all exist now, 1 some could not be created, 2 invalid options.
    """
    messages = message_console()
    failed = False
    for wanted in _blueprints(backends, gpu):
        try:
            folder = create_environment(wanted, messages.print)
        except EnvironmentCreationError as error:
            failed = True
            messages.print(f"{wanted.backend}: {error}", soft_wrap=True)
        else:
            messages.print(f"{wanted.backend}: {folder}", soft_wrap=True)
    return SOME_FAILED if failed else DONE


@command.command("remove")
@click.argument("environments", nargs=-1, required=True)
def remove_them(environments: tuple[str, ...]) -> int:
    """Remove ENVIRONMENTS: names from `bench env list`, names of backends, or `all`."""
    messages = message_console()
    names = split_list(",".join(environments))
    for folder in _folders(names):
        remove(folder, lambda: messages.print("waiting for a run that creates it"))
        messages.print(f"removed {folder.name}")
    return DONE


def _blueprints(received: tuple[str, ...], gpu: bool) -> list[Blueprint]:
    known = recipes()
    selectors = [parse_selector(text) for text in split_list(",".join(received))]
    check_known([each.name for each in selectors], known, "backend")
    for each in selectors:
        if each.interpreter:
            raise ChoiceError(
                f"{each.text!r} names an interpreter, which exists already: name a backend"
            )
    return [blueprint(known[each.name], each.version, gpu) for each in selectors]


def _folders(received: list[str]) -> list[Path]:
    """Return the folders of the named environments.

    Raises:
        ChoiceError: a name is neither that of an environment nor that of a backend with one.
    """
    environments = dict(all_environments())
    if received == [ALL]:
        return list(environments)
    chosen = []
    for name in received:
        named = [
            each
            for each in environments
            if name in (each.name, environments[each].blueprint.backend)
        ]
        if not named and name not in recipes():
            named = _with_version(name)
        if not named:
            known = ", ".join(each.name for each in environments) or "none"
            raise ChoiceError(f"no environment {name!r}: expected some of: {known}")
        chosen += named
    return list(dict.fromkeys(chosen))


def _with_version(text: str) -> list[Path]:
    """Return the existing folders of `jax==0.9.*`, for the CPU or a GPU."""
    selector = parse_selector(text)
    recipe = recipes().get(selector.name)
    if recipe is None or not selector.version:
        return []
    folders = (folder_of(blueprint(recipe, selector.version, gpu)) for gpu in (False, True))
    return [folder for folder in dict.fromkeys(folders) if read(folder)]
