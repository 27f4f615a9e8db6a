"""`bench list`: the available backends and models."""

from collections.abc import Sequence

import rich_click as click

from backends.api import Recipe
from backends.registry import installed_version, recipes
from bench.cli.console import result_console, table


@click.group("list", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show the available backends and models."""
    if ctx.invoked_subcommand is None:
        list_backends()
        click.echo()
        list_models()


@command.command("backends")
def backends_command() -> None:
    """Show backends with version, modes and devices, or how to install them."""
    list_backends()


@command.command("models")
def models_command() -> None:
    """Show models with input shape, parameters and multiply-accumulates per image."""
    list_models()


def list_backends() -> None:
    """Print the table of backends. With a GPU, each framework is started to list its devices."""
    from bench.machine.hardware import has_accelerator

    on_gpu = has_accelerator()
    rows = [_backend_row(recipe, on_gpu) for recipe in recipes().values()]
    header = ("backend", "version", "modes", "devices, or how to install")
    result_console().print(table(header, rows))
    click.echo("Modes in brackets run only when --modes names them.")


def _backend_row(recipe: Recipe, on_gpu: bool) -> tuple[str, str, str, str]:
    from bench.machine.environments.choice import available, installation_hint

    runnable = available(recipe, on_gpu)
    if runnable is None:
        return recipe.name, "not installed", _modes(recipe), installation_hint(recipe)
    version = installed_version(runnable) or ""
    where = "own environment: " if runnable.interpreter else ""
    devices = ", ".join(_devices(runnable, on_gpu))
    return recipe.name, version, _modes(recipe), f"{where}{devices}"


def _modes(recipe: Recipe) -> str:
    return ", ".join(mode if mode in recipe.default_modes else f"({mode})" for mode in recipe.modes)


def _devices(recipe: Recipe, on_gpu: bool) -> Sequence[str]:
    from bench.run.devices import probe
    from bench.run.executor import LocalExecutor

    return probe(recipe, LocalExecutor()) if on_gpu else ["cpu"]


def list_models() -> None:
    """Print the table of models."""
    from bench.spec.models import all_models
    from bench.spec.parameters import count_macs, count_parameters
    from bench.spec.shapes import resolve

    rows = []
    for name, entry in all_models().items():
        model = resolve(entry.build(entry.classes), entry.input_shape)
        shape = " x ".join(str(size) for size in entry.input_shape)
        sizes = f"{count_parameters(model):,}", f"{count_macs(model):,}"
        rows.append((name, shape, *sizes, entry.summary))
    header = ("model", "input", "parameters", "MACs", "summary")
    result_console().print(table(header, rows, right=("parameters", "MACs")))
