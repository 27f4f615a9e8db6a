"""Verdicts of real runs whose truth is known: `PYTHONPATH=tests python -m benchmarks.verdicts`.

`equal` compares one interpreter under two names: a verdict other than "same" or "undecided" is
false. `slowed` compares JAX with itself, 5 % slower, and NumPy: the slowdown should be found.
"""

import os
import subprocess
import sys
from pathlib import Path

import click

import bench

PLUGIN = Path(__file__).parent / "slowed"
KINDS = {
    "equal": ["--backends", f"jax,jax@{sys.executable}", "--modes", "jit"],
    "slowed": ["--backends", "jax,slowed,numpy", "--modes", "jit,eager"],
}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--runs", default=20, show_default=True, help="Number of runs.")
@click.option("--time", default="3m", show_default=True, help="Time of each run.")
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Folder of the runs."
)
def main(kind: str, runs: int, time: str, output: Path) -> None:
    """Make runs one after the other, and print the verdicts of each."""
    paths = [str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    for number in range(runs):
        folder = output / f"{kind}-{number}"
        options = [*KINDS[kind], "--time", time, "--seed", str(100 * number)]
        command = [sys.executable, "-m", "bench", "run", *options, "--output", str(folder)]
        subprocess.run([*command, "--quiet"], env=environment, check=True)
        for pair in bench.load(folder).pairs.itertuples():
            interval = f"{pair.ratio:.3f} ({pair.low:.3f} to {pair.high:.3f})"
            click.echo(f"{number} | {pair.one} | {pair.verdict} | {pair.other} | {interval}")


if __name__ == "__main__":
    main()
