"""Compare each backend's adapter with hand-written loops of the same network, in rounds.

    PYTHONPATH=tests python -m benchmarks.against_native --output FILE.json

There are several loops: the form of the framework's documentation and the fastest that are known.
Each process compiles the adapter and all loops. In each round they train a slice each, in random
order. A process gives one ratio per loop: the median over rounds of the adapter's rate divided by
the loop's. The table has the median over processes, since speed differs from one process to the
next. Figures that are already in the output file are kept: name more backends, models or modes to
add to it.
"""

import json
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from statistics import median

import click

from backends.registry import installed_version, recipes
from bench.cli.values import NameList
from bench.data.prepare import prepare
from bench.machine.hardware import usable_cpus
from bench.run.launch import worker_environment
from bench.statistics.medians import median_interval

BATCH_SIZE = 64
MODELS = ("mlp", "cnn", "resnet_small")
BACKENDS = ("torch", "tensorflow", "jax")


@click.command()
@click.option("--backends", type=NameList(), default=",".join(BACKENDS), show_default=True)
@click.option("--models", type=NameList(), default=",".join(MODELS), show_default=True)
@click.option("--modes", type=NameList(), default="all", show_default=True)
@click.option("--processes", default=6, show_default=True, help="New processes per comparison.")
@click.option("--rounds", default=20, show_default=True, help="Slices of each side per process.")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file of all figures.")
def main(backends, models, modes, processes, rounds, output):
    """Compare each backend's adapter with hand-written loops, and print the table."""
    duels = json.loads(output.read_text()) if output and output.exists() else {}
    contenders = _contenders(backends, modes, models)
    with tempfile.TemporaryDirectory(prefix="evenbench-") as scratch:
        for seed, (backend, mode, model) in product(range(processes), contenders):
            request = {"backend": backend, "mode": mode, "model": model}
            duel = _duel({**request, "rounds": rounds, "seed": seed}, Path(scratch))
            duels.setdefault(f"{backend} {mode} {model}", []).append(duel)
            if output:
                output.write_text(json.dumps(duels, indent=1) + "\n")
    print(table(duels))


def _contenders(backends, modes, models):
    """Yield every (backend, mode, model) that is requested and installed."""
    known = recipes()
    return [
        (backend, mode, model)
        for backend in backends
        if installed_version(known[backend])
        for mode in known[backend].modes
        if modes == ["all"] or mode in modes
        for model in models
    ]


def _duel(request, scratch):
    """Return the images/s of every slice by side, from a new process."""
    cpus = usable_cpus()
    request = {
        **request,
        "cpus": cpus,
        "threads": len(cpus),
        "batch_size": BATCH_SIZE,
        "data": str(prepare(None).folder),
    }
    # No compile time is measured here, so compiled code may be cached: not the recipe's `cold`.
    own = recipes()[request["backend"]].environment
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.duel", json.dumps(request)],
        env=worker_environment(own, len(cpus), scratch),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{request}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(duels):
    """Return the table of all duels in Markdown, with the fastest loop of each in bold."""
    lines = [
        "| backend, mode | model | loop | adapter, images/s | loop, images/s | ratio | interval |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for name, found in duels.items():
        backend, mode, model = name.split()
        rates = {side: median(median(duel[side]) for duel in found) for side in found[0]}
        loops = [side for side in rates if side != "adapter"]
        ratios = {loop: median_interval([ratio(duel, loop) for duel in found]) for loop in loops}
        fastest = min(loops, key=lambda loop: ratios[loop].estimate)
        for loop, (estimate, low, high) in ratios.items():
            title = f"**{loop}**" if loop == fastest else loop
            lines.append(
                f"| {backend} {mode} | `{model}` | {title} | {rates['adapter']:,.0f} "
                f"| {rates[loop]:,.0f} | {estimate:.3f} | {low:.3f} to {high:.3f} |"
            )
    return "\n".join(lines)


def ratio(duel, loop):
    """Return the adapter's rate divided by that of a loop: the median of the rounds."""
    pairs = zip(duel["adapter"], duel[loop], strict=True)
    return median(adapter / native for adapter, native in pairs)


if __name__ == "__main__":
    main()
