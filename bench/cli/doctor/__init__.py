"""`bench doctor`: examine whether this machine and these backends can be measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import rich_click as click
from rich.console import Console

from backends.api import Recipe
from backends.registry import installed_version
from bench.cache import cache_folder
from bench.cli.console import message_console, result_console, table
from bench.cli.doctor.backends import Compilation, Place, check_clock, compile_times
from bench.cli.doctor.machine import UNKNOWN, machine_findings
from bench.cli.options import request_options
from bench.data.prepare import prepare
from bench.machine.cpus import choose_threads
from bench.machine.environments.choice import choose_backends
from bench.run.examiner import Examiner, peak_rates_in
from bench.run.executor import LocalExecutor
from bench.run.launch import launch_of
from bench.run.peak_rates import PeakRates, PeakRateSettings, WantedRates

HEALTHY, CLOCK_FAILED = 0, 1


class Patient(NamedTuple):
    """A backend to examine."""

    recipe: Recipe
    version: str
    device: str


@click.command("doctor")
@request_options("backends", panel="Options")
@click.option("--device", default="cpu", show_default=True, help="cpu, gpu:0 or mps.")
@click.option("--fresh", is_flag=True, help="Use no cached peak rates.")
@click.option(
    "--compile",
    "compilation",
    is_flag=True,
    help="Also time compilation: twice cold and, if the framework has a cache on disk, warm.",
)
def command(backends: list[str], device: str, fresh: bool, compilation: bool) -> int:
    """Examine the machine, its peak rates and each backend's clock.

    Shows the machine's settings with advice, the peak rates of the device by each backend's
    fastest matrix product and copy, and for each backend and default mode whether twice the steps
    take twice the time, within 10 %, and leave no work behind.

    Exit status: 0 every clock waits for its device, 1 some clock does not, 2 invalid options.
    """
    console, messages = result_console(), message_console()
    console.print(table(("machine", "value", "advice"), machine_findings()))
    recipes = choose_backends(backends, device.startswith("gpu"), messages.print).recipes
    versions = {recipe.name: installed_version(recipe) for recipe in recipes}
    patients = [
        Patient(recipe, version, device)
        for recipe in recipes
        if (version := versions[recipe.name]) is not None
    ]
    _, cpus = choose_threads(None)
    executor = LocalExecutor()
    setting = PeakRateSettings(len(cpus), cpus, None if fresh else cache_folder())
    wanted = [WantedRates(*patient, setting) for patient in patients]
    rates = peak_rates_in(Examiner(executor, messages.print).results(wanted, []))
    console.print()
    console.print(peak_rate_table(rates))
    console.print()
    passed = _print_clocks(patients, cpus, executor, console, messages)
    if compilation:
        console.print()
        _print_compilations(patients, cpus, executor, console, messages)
    return HEALTHY if passed else CLOCK_FAILED


_HEADER = ("backend", "GFLOP/s float32", "GFLOP/s bfloat16", "copy GB/s", "libraries, notes")


def peak_rate_table(rates: Sequence[PeakRates]) -> object:
    """Make the table of each backend's peak rates."""
    return table(_HEADER, [_peak_rate_row(each) for each in rates], right=_HEADER[1:4])


def _peak_rate_row(rates: PeakRates) -> tuple[str, ...]:
    disturbed = f"disturbed ({', '.join(rates.flags)}), so not used" if rates.flags else ""
    libraries = "; ".join(rates.libraries or ()) or "own, unknown"
    notes = [text for text in (rates.error or libraries, disturbed) if text]
    flops = (rates.matrix_flops_per_second.get(name) for name in ("float32", "bfloat16"))
    return (
        f"{rates.backend} {rates.framework_version}",
        *map(_giga, flops),
        _giga(rates.copy_bytes_per_second),
        "; ".join(notes),
    )


def _giga(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value / 1e9:,.1f}"


def _print_clocks(
    patients: Sequence[Patient],
    cpus: tuple[int, ...],
    executor: LocalExecutor,
    console: Console,
    messages: Console,
) -> bool:
    """Print the verdict on each clock; return whether all passed."""
    rows = []
    all_passed = True
    for recipe, _, device in patients:
        for mode in recipe.default_modes:
            messages.print(f"checking the clock of {recipe.name} {mode} on {device}")
            clock = check_clock(recipe.adapter, launch_of(recipe), (mode, device), cpus, executor)
            all_passed = all_passed and clock.passed
            ratio = UNKNOWN if clock.ratio is None else f"{clock.ratio:.3f}"
            leftover = UNKNOWN if clock.leftover is None else f"{clock.leftover:.1%}"
            result = "pass" if clock.passed else f"FAIL {clock.error}".rstrip()
            rows.append((recipe.name, mode, ratio, leftover, result))
    header = ("backend", "mode", "time of twice the steps", "work left", "result")
    console.print(table(header, rows, right=header[2:4]))
    return all_passed


def _print_compilations(
    patients: Sequence[Patient],
    cpus: tuple[int, ...],
    executor: LocalExecutor,
    console: Console,
    messages: Console,
) -> None:
    rows = []
    data = prepare(None).folder
    for recipe, _, device in patients:
        for mode in recipe.default_modes:
            messages.print(f"compiling {recipe.name} {mode} on {device}")
            times = compile_times(recipe, Place(mode, device, cpus, Path(data)), executor)
            rows.append((recipe.name, mode, *_compilation_cells(times)))
    header = ("backend", "mode", "cold s", "cold again s", "warm s", "files in the cache")
    console.print(table(header, rows, right=header[2:]))


def _compilation_cells(times: Compilation) -> tuple[str, ...]:
    seconds = [UNKNOWN if value is None else f"{value:.2f}" for value in (*times.cold, times.warm)]
    if times.files is None:
        return (*seconds[:2], "no cache", "no cache")
    return (*seconds, str(times.files))
