"""Fuzz the loaders and the command line: `PYTHONPATH=tests python -m reliability.fuzz`.

Every input must be accepted or rejected with an error message within 10 seconds and 1 GB of memory.
"""

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the stacks of its threads count against the memory limit

from hypothesis import HealthCheck, Phase, given, seed, settings
from support.command_line import CommandLine
from support.targets import Target, furnish, targets

MEMORY_BYTES = 10**9
SECONDS = 10.0
BATCH = 1000
SHARES = {"IDX loader": 0.3, "spec decoder": 0.3, "record reader": 0.3, "command line": 0.1}


class Tally:
    """Counts and the longest duration for one target."""

    def __init__(self) -> None:
        self.inputs = self.accepted = 0
        self.slowest = 0.0

    def count(self, accepted: bool, seconds: float) -> None:
        """Add one input."""
        self.inputs += 1
        self.accepted += accepted
        self.slowest = max(self.slowest, seconds)


def fuzz(target: Target, folder: Path, inputs: int) -> Tally:
    """Call the target with `inputs` random inputs."""
    tally = Tally()
    for batch in range(-(-inputs // BATCH)):

        @seed(batch)
        @settings(
            max_examples=min(BATCH, inputs - batch * BATCH),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(target.inputs)
        def one(value: object) -> None:
            start = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, SECONDS)  # SIGALRM ends the process
            accepted = target.accepts(folder, value)
            signal.setitimer(signal.ITIMER_REAL, 0)
            tally.count(accepted, time.perf_counter() - start)

        one()
    return tally


def main() -> None:
    """Fuzz every target and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--only", choices=SHARES, help="one of the targets")
    arguments = parser.parse_args()
    figures = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        furnish(folder)
        command = CommandLine(folder, folder / "cache")
        command.run("run", *command.quick, "--backends", "numpy", "--repeats", "1", "--output", "o")
        os.environ.update(command.environment)
        manifest = (folder / "o" / "manifest.json").read_bytes()
        record = (folder / "o" / "trials.jsonl").read_bytes().strip()
        silence()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        for title, target in targets(manifest, record).items():
            if arguments.only not in (None, title):
                continue
            try:
                tally = fuzz(target, folder, int(arguments.inputs * SHARES[title]))
            except Exception:
                traceback.print_exc(file=figures)
                sys.exit(f"{title}: found a bug")
            print(
                f"{title}: {tally.inputs:,} inputs, {tally.accepted:,} accepted, slowest "
                f"{tally.slowest * 1000:.0f} ms",
                file=figures,
                flush=True,
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak resident memory {peak:,.0f} MiB", file=figures)


def silence() -> None:
    """Discard standard output and standard error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


if __name__ == "__main__":
    main()
