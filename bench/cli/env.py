"""`bench env`: the environments that backends have of their own."""

from pathlib import Path

import rich_click as click

from backends.registry import recipes
from bench.cli.console import message_console, result_console
from bench.cli.tables import table
from bench.errors import ChoiceError, EnvironmentCreationError, check_known, split_list
from bench.machine.environments.blueprint import Blueprint, blueprint
from bench.machine.environments.creation import create_environment
from bench.machine.environments.selector import ALL, parse_selector
from bench.machine.environments.store import (
    Environment,
    all_environments,
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
    """Environments of their own for backends.

    A backend with a version (`jax==0.9.*`) runs in an environment that holds just what its recipe
    names. It is made when it is first needed, kept in the user's cache, and shared by later runs.
    """


@command.command("list")
def list_them() -> int:
    """Show every environment with its size on the disk."""
    console = result_console()
    found = list(all_environments())
    if not found:
        console.print(f"no environment in {environments_folder()}", soft_wrap=True)
        return DONE
    header = ("environment", "made from", "Python", "packages", "MiB", "made by", "made at")
    rows = [_row(folder, environment) for folder, environment in found]
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
@click.option("--gpu", is_flag=True, help="With the packages that train on a GPU.")
def create(backends: tuple[str, ...], gpu: bool) -> int:
    """Make the environments of BACKENDS: names with or without a version (flax, jax==0.9.*).

    Exit status: 0 all are there now, 1 some could not be made, 2 the command was wrong.
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
    """Remove ENVIRONMENTS: their names as `bench env list` shows them, backends, or `all`."""
    messages = message_console()
    names = split_list(",".join(environments))
    for folder in _folders(names):
        remove(folder, lambda: messages.print("waiting for a run that makes it"))
        messages.print(f"removed {folder.name}")
    return DONE


def _blueprints(received: tuple[str, ...], gpu: bool) -> list[Blueprint]:
    known = recipes()
    selectors = [parse_selector(text) for text in split_list(",".join(received))]
    check_known([each.name for each in selectors], known, "backend")
    for each in selectors:
        if each.interpreter:
            raise ChoiceError(
                f"received {each.text!r}, expected no interpreter: it is there already"
            )
    return [blueprint(known[each.name], each.version, gpu) for each in selectors]


def _folders(received: list[str]) -> list[Path]:
    """The folders of the environments that are named.

    Raises:
        ChoiceError: a name that is neither an environment's nor that of a backend with one.
    """
    found = dict(all_environments())
    if received == [ALL]:
        return list(found)
    chosen = []
    for name in received:
        named = [each for each in found if name in (each.name, found[each].blueprint.backend)]
        if not named and name not in recipes():
            named = _asked_with_version(name)
        if not named:
            known = ", ".join(each.name for each in found) or "none"
            raise ChoiceError(f"no environment {name!r}: expected some of: {known}")
        chosen += named
    return list(dict.fromkeys(chosen))


def _asked_with_version(text: str) -> list[Path]:
    """The folder of `jax==0.9.*`, for the CPU or a GPU, if it is there."""
    selector = parse_selector(text)
    recipe = recipes().get(selector.name)
    if recipe is None or not selector.version:
        return []
    folders = (folder_of(blueprint(recipe, selector.version, gpu)) for gpu in (False, True))
    return [folder for folder in dict.fromkeys(folders) if read(folder)]
