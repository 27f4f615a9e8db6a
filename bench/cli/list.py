"""`bench list`: which backends and models there are."""

from collections.abc import Sequence

import click

from backends.api import Recipe
from backends.registry import install_command, installed_version, recipes
from bench.cli.console import result_console
from bench.cli.tables import table


@click.group("list", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show the backends and models there are."""
    if ctx.invoked_subcommand is None:
        list_backends()
        click.echo()
        list_models()


@command.command("backends")
def backends_command() -> None:
    """Backends with version, modes and devices, or what to install."""
    list_backends()


@command.command("models")
def models_command() -> None:
    """Models with input shape, parameters and multiply-accumulates of one image."""
    list_models()


def list_backends() -> None:
    """Print the table of backends. Asks each framework for its devices where it may see a GPU."""
    rows = [_backend_row(recipe) for recipe in recipes().values()]
    result_console().print(
        table(("backend", "version", "modes", "devices or what to install"), rows)
    )
    click.echo("Modes in brackets run only when --modes names them.")


def _backend_row(recipe: Recipe) -> tuple[str, str, str, str]:
    version = installed_version(recipe)
    devices = ", ".join(_devices(recipe)) if version else install_command(recipe)
    return recipe.name, version or "not installed", _modes(recipe), devices


def _modes(recipe: Recipe) -> str:
    return ", ".join(mode if mode in recipe.default_modes else f"({mode})" for mode in recipe.modes)


def _devices(recipe: Recipe) -> Sequence[str]:
    from bench.executor import LocalExecutor
    from bench.machine import has_accelerator
    from bench.request import probe

    return probe(recipe, LocalExecutor()) if has_accelerator() else ["cpu"]


def list_models() -> None:
    """Print the table of models."""
    from bench.models import MODELS
    from bench.spec.parameters import count_macs, count_parameters
    from bench.spec.shapes import resolve

    rows = []
    for name, entry in MODELS.items():
        model = resolve(entry.build(entry.classes), entry.input_shape)
        shape = " x ".join(str(size) for size in entry.input_shape)
        sizes = f"{count_parameters(model):,}", f"{count_macs(model):,}"
        rows.append((name, shape, *sizes, entry.summary))
    header = ("model", "input", "parameters", "MACs", "summary")
    result_console().print(table(header, rows, right=("parameters", "MACs")))
