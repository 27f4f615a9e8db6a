"""A thousand quick trials in one run: `PYTHONPATH=tests python -m reliability.load`.

Prints the resources used by the runner process and the time per trial, at the start and the end.
"""

import argparse
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import psutil
from support.command_line import CommandLine

HUNDRED = 100


def main() -> None:
    """Run the trials and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        command = CommandLine(Path(name), Path(name) / "cache")
        options = ["--backends", "fake", "--repeats", str(trials), "--output", "out"]
        ended, own, memory, files, threads = measure_resources(
            command, command.quick + options, trials
        )
    seconds = [after - before for before, after in pairwise(ended)]
    own_time = [1000 * (after - before) for before, after in pairwise(own)]
    first, last = slice(1, HUNDRED), slice(-HUNDRED, None)
    for title, series, unit in (
        ("seconds per trial", seconds, "s"),
        ("the runner's CPU time per trial", own_time, "ms"),
        ("resident memory", memory, "MiB"),
        ("open files", files, ""),
        ("threads", threads, ""),
    ):
        early, late = fmean(series[first]), fmean(series[last])
        print(f"{title}: {early:.4g} {unit} in the first hundred, {late:.4g} {unit} in the last")
    hundreds = [fmean(memory[start : start + HUNDRED]) for start in range(0, trials, HUNDRED)]
    print("resident memory per hundred trials:", " ".join(f"{m:.1f}" for m in hundreds))


def measure_resources(
    command: CommandLine, options: list[str], trials: int
) -> tuple[list, list, list, list, list]:
    """Record each trial's end, and the runner's CPU time, memory, files and threads then."""
    process = command.start("run", *options, bufsize=1)
    runner = psutil.Process(process.pid)
    ended, own, memory, files, threads = [], [], [], [], []
    for line in process.stderr:
        if not line.startswith("["):
            continue
        ended.append(time.monotonic())
        spent = runner.cpu_times()
        own.append(spent.user + spent.system)
        memory.append(runner.memory_info().rss / 2**20)
        files.append(runner.num_fds())
        threads.append(runner.num_threads())
    process.wait()
    if len(ended) != trials or process.returncode != 0:
        sys.exit(f"received {len(ended)} trials and status {process.returncode}")
    return ended, own, memory, files, threads


if __name__ == "__main__":
    main()
