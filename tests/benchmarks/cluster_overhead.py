"""The overhead of a Ray cluster per trial: time between trials in which no worker runs.

    PYTHONPATH=tests python -m benchmarks.cluster_overhead [TRIALS]

Runs trials of the fake backend, which trains nothing, alternately on this machine alone and on a
cluster of one node on this machine. The time between the ends of two trials, as the command prints
them, minus the time of the second trial's worker, is spent on the canary, on records and, on a
cluster, on Ray.
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from support.command_line import CommandLine

from bench.records.reader import read_run

ROUNDS = 3


def main(trials):
    """Print seconds between trials, in Markdown."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="evenbench-") as scratch:
        command = CommandLine(Path(scratch), Path(scratch) / "cache")
        os.environ.update(command.environment)
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        try:
            cluster.add_node(num_cpus=1)
            places = {
                "this machine": ["--threads", "1"],
                "a node": ["--cluster", cluster.address],
            }
            found = {where: [] for where in places}
            for _ in range(ROUNDS):
                for where, options in places.items():
                    found[where] += between(command, trials, options)
        finally:
            cluster.shutdown()
    print("| where | trials | between two, median s | middle half |")
    print("|---|---:|---:|---:|")
    for where, seconds in found.items():
        low, middle, high = quantiles(seconds, n=4)
        print(f"| {where} | {len(seconds)} | {middle:.3f} | {low:.3f} to {high:.3f} |")


def between(command, trials, options):
    """Return the seconds between the trials of a run in which no worker ran."""
    out = Path(tempfile.mkdtemp(dir=command.folder)) / "out"
    options_of_all = ["--backends", "fake", "--repeats", trials, "--retries", "0", "--output", out]
    process = command.start("run", *command.quick, *options_of_all, *options)
    ends = [perf_counter() for line in process.stderr if re.match(r"\[\d+/", line)]
    process.communicate()
    assert process.returncode == 0
    workers = [trial.wall_seconds for trial in read_run(out).trials]
    assert len(ends) == len(workers) == trials
    pairs = zip(ends, ends[1:], workers[1:], strict=False)
    return [end - before - worker for before, end, worker in pairs]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
