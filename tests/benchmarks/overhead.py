"""The overhead of the suite: the share of a run's wall time in which no worker measures.

    PYTHONPATH=tests python -m benchmarks.overhead --backends all --retries 0

Takes the arguments of `bench run`, runs it under a clock, and sums up its records. Run it twice:
the first time makes certificates and decodes the data.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from bench.records.reader import read_run

OUTPUT = "--output"
PHASES = ("import", "data", "build", "compile", "train", "evaluate")


def main(arguments):
    """Run the command and print where its time went."""
    with tempfile.TemporaryDirectory(prefix="evenbench-") as scratch:
        if OUTPUT not in arguments:
            arguments = [*arguments, OUTPUT, str(Path(scratch) / "run")]
        folder = Path(arguments[arguments.index(OUTPUT) + 1])
        command = [sys.executable, "-m", "bench", "run", *arguments]
        start = perf_counter()
        subprocess.run(command, check=True)
        wall = perf_counter() - start
        print(table(read_run(folder), wall))


def table(run, wall):
    """Return seconds and shares of each phase, and of the time outside all phases, in Markdown."""
    trials = run.trials
    spent = {name: _total(trials, f"{name}_seconds") for name in PHASES}
    spent["inference"] = sum(trial.inference.seconds for trial in trials if trial.inference)
    spent["explain"] = _total([each.told for each in run.explanations], "seconds")
    measured = sum(spent.values())
    in_trials = _total(trials, "wall_seconds")
    spent["start and end of the workers"] = in_trials - measured
    spent["plan, certificates, canary, records, report"] = wall - in_trials
    spent["no phase of a worker"] = wall - measured
    lines = ["| part | seconds | share |", "|---|---:|---:|"]
    lines += [f"| {name} | {took:.2f} | {took / wall:.1%} |" for name, took in spent.items()]
    return "\n".join(lines)


def _total(records, name):
    return sum(getattr(record, name) or 0 for record in records)


if __name__ == "__main__":
    main(sys.argv[1:])
