"""What a Ray cluster costs a trial: the time between trials beyond that of their workers.

    python -m tests.benchmarks.cluster_overhead [TRIALS]

Runs trials of the fake backend, which trains nothing, on this machine alone and on a cluster of one
node here, each with few trials and with many: the difference is free of what a run costs once.
"""

import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from bench.reading import read_run
from tests.support.commands import Command, finished

FEW = 5


def main(trials):
    """Print seconds a trial, in Markdown."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="evenbench-") as scratch:
        command = Command(Path(scratch))
        os.environ.update(command.environment)
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        try:
            cluster.add_node(num_cpus=1)
            print("| where | seconds a trial | of its worker | between trials | a run beside |")
            print("|---|---:|---:|---:|---:|")
            print(row("this machine", command, trials, ["--threads", "1"]))
            print(row("a node", command, trials, ["--cluster", cluster.address]))
        finally:
            cluster.shutdown()


def row(where, command, trials, options):
    """One line of the table."""
    few, few_wall, few_workers = timed(command, FEW, options)
    many, many_wall, many_workers = timed(command, FEW + trials, options)
    a_trial = (many_wall - few_wall) / (many - few)
    worker = (many_workers - few_workers) / (many - few)
    once = few_wall - few * a_trial
    return f"| {where} | {a_trial:.3f} | {worker:.3f} | {a_trial - worker:.3f} | {once:.1f} |"


def timed(command, trials, options):
    """The trials of a run, the seconds that it took, and those that its workers took."""
    out = Path(tempfile.mkdtemp(dir=command.folder)) / "out"
    asked = ["--backends", "fake", "--repeats", trials, "--retries", "0", "--output", out]
    start = perf_counter()
    done = finished(command.start("run", *command.quick, *asked, *options))
    wall = perf_counter() - start
    assert done.returncode == 0, done.stderr
    records = read_run(out).trials
    return len(records), wall, sum(record.wall_seconds for record in records)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
