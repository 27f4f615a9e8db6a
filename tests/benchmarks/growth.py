"""The runner's time for each of 10,000 trials, and its memory.

    PYTHONPATH=tests python -m benchmarks.growth [TRIALS]

Plans a run file of so many trials and runs them with workers that answer at once, in this process:
what is left is the suite's own. The canary's work, which is the same for every trial, is left out.
Prints the seconds of the plan and, for each tenth of the run, milliseconds a trial and memory.
"""

import sys
import tempfile
from pathlib import Path
from statistics import mean
from time import perf_counter, process_time

import psutil

import bench.machine.disturbance
from bench.cli.run_file import read_run_file
from bench.records.writer import RunFolder
from bench.run.manifests import make_manifest
from bench.run.prepare import make_plan
from bench.run.runner import TrialRunner
from bench.run.worker_process import WorkerEnd
from bench.worker.protocol import EpochEnded, Finished, Imported, PhaseBegan, PhaseEnded, Predicted

BLOCKS = 100
FILE = """
[run]
repeats = {blocks}
epochs = 1

[matrix]
backends = ["numpy"]
models = ["mlp"]
batch_sizes = {sizes}
"""
EVENTS = (
    Imported({"numpy": "2.0"}, 2**26),
    *(
        event
        for name in ("import", "data", "build", "compile")
        for event in (PhaseBegan(name), PhaseEnded(name, 0.1))
    ),
    EpochEnded(1, 60_000, 0.5, 0.3, 0.93, 0.05),
    Predicted(
        latencies=(1e-4, 2e-4, 3e-4),
        latency_calls=1000,
        batch_size=1000,
        calls=100,
        call_seconds=0.2,
        compile_seconds=0.0,
        seconds=0.3,
    ),
    Finished(2**28, None),
)


class AtOnce:
    """An executor whose workers finish at once."""

    def run(self, task, launch, timeout, on_event):
        """Report the events of a worker."""
        for event in EVENTS:
            on_event(event)
        return WorkerEnd(0, False, "", dict(launch.variables))


class Silent:
    """An observer that ignores all events."""

    def __getattr__(self, name):
        """Ignore any call."""
        return lambda *_: None


def main(arguments):
    """Plan a run, run it, and print its costs."""
    trials = int(arguments[0]) if arguments else 10_000
    bench.machine.disturbance._ROUNDS, bench.machine.disturbance._COPIES = 1, 0
    with tempfile.TemporaryDirectory(prefix="evenbench-") as scratch:
        path = Path(scratch) / "growth.toml"
        path.write_text(FILE.format(blocks=BLOCKS, sizes=list(range(1, trials // BLOCKS + 1))))
        start = perf_counter()
        request = read_run_file(path).request
        plan = make_plan(request, AtOnce())
        names = {trial.name for trial in plan.trials}
        print(f"{len(names):,} trials planned in {perf_counter() - start:.2f} s")
        with RunFolder(Path(scratch) / "run") as folder:
            folder.write_manifest(make_manifest(plan, request, "growth"))
            print(table(*measured(plan, folder)))


def measured(plan, folder):
    """Return seconds, CPU seconds and the memory of this process in bytes after each trial."""
    process = psutil.Process()
    seconds, cpu_seconds, memory = [], [], []
    before, cpu_before = perf_counter(), process_time()
    for _ in TrialRunner(plan.experiment, AtOnce(), folder, Silent()).run(plan.trials):
        seconds.append(perf_counter() - before)
        cpu_seconds.append(process_time() - cpu_before)
        memory.append(process.memory_info().rss)
        before, cpu_before = perf_counter(), process_time()
    return seconds, cpu_seconds, memory


def table(seconds, cpu_seconds, memory):
    """Return one row per tenth of the trials, in Markdown."""
    tenth = len(seconds) // 10
    lines = ["| trials | ms a trial | of CPU | MiB |", "|---:|---:|---:|---:|"]
    for part in range(10):
        first, last = part * tenth, (part + 1) * tenth
        took, cpu = (1e3 * mean(each[first:last]) for each in (seconds, cpu_seconds))
        held = memory[last - 1] / 2**20
        lines.append(f"| {first + 1:,} to {last:,} | {took:.2f} | {cpu:.2f} | {held:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
