"""Compare each backend's adapter with a hand-written loop of the same network, in turn.

    PYTHONPATH=tests python -m benchmarks.against_native --output FILE.json

Each process compiles both, then calls them in turn, A B B A, and gives one ratio of throughputs,
the median of its pairs. The table has the median over processes, since XLA's speed differs from
one process to the next. Figures that are already in the output file are kept: name more backends,
models or modes to add to it.
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
# Steps per call, chosen so that a call takes 0.2 to 3 s; an epoch of 60,000 images has 937.
STEPS = {"mlp": 937, "cnn": 60, "resnet_small": 60}
BACKENDS = ("torch", "tensorflow", "jax")


@click.command()
@click.option("--backends", type=NameList(), default=",".join(BACKENDS), show_default=True)
@click.option("--models", type=NameList(), default=",".join(STEPS), show_default=True)
@click.option("--modes", type=NameList(), default="all", show_default=True)
@click.option("--processes", default=6, show_default=True, help="New processes per comparison.")
@click.option("--pairs", default=6, show_default=True, help="Calls of each side per process.")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file of all figures.")
def main(backends, models, modes, processes, pairs, output):
    """Compare each backend's adapter with a hand-written loop, and print the table."""
    duels = json.loads(output.read_text()) if output and output.exists() else {}
    with tempfile.TemporaryDirectory(prefix="evenbench-") as scratch:
        for number, (backend, mode, model) in product(
            range(processes), _contenders(backends, modes, models)
        ):
            request = {"backend": backend, "mode": mode, "model": model}
            settings = {"pairs": pairs, "adapter_first": number % 2 == 0}
            duel = _duel({**request, **settings}, Path(scratch))
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
    """Return the images of a call and the seconds of every call by side, from a new process."""
    cpus = usable_cpus()
    request = {
        **request,
        "cpus": cpus,
        "threads": len(cpus),
        "batch_size": BATCH_SIZE,
        "steps": STEPS[request["model"]],
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
    """Return the table of all duels in Markdown."""
    lines = [
        "| backend | mode | model | adapter, images/s | by hand, images/s | ratio | interval |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for name, found in duels.items():
        adapter, native = (median(rates) for rates in _rates(found))
        ratios = [ratio(duel) for duel in found]
        found_ratio = median_interval(ratios)
        lines.append(
            f"| {' | '.join(name.split())} | {adapter:,.0f} | {native:,.0f} "
            f"| {found_ratio.estimate:.3f} | {found_ratio.low:.3f} to {found_ratio.high:.3f} |"
        )
    return "\n".join(lines)


def _rates(found):
    """Return images/s of each process's median call, of the adapter and of the loop."""
    return (
        [duel["images"] / median(duel["seconds"][side]) for duel in found]
        for side in ("adapter", "native")
    )


def ratio(duel):
    """Return the adapter's throughput divided by the loop's: the median of the pairs."""
    seconds = duel["seconds"]
    return median(
        native / adapter
        for adapter, native in zip(seconds["adapter"], seconds["native"], strict=True)
    )


if __name__ == "__main__":
    main()
