"""The report of many trials: `PYTHONPATH=tests python -m benchmarks.report_size`.

Writes a run of 100,000 whole records, as real trials leave them, and times `bench report` on it.
"""

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import msgspec
from support import records

from bench.records.trial import EpochRecord

MODELS = [f"model{number}" for number in range(50)]
BATCH_SIZES = (32, 64, 128, 256)
CONTENDERS = (
    *(("torch", mode) for mode in ("eager", "compile", "graphs")),
    *(("tensorflow", mode) for mode in ("eager", "graph", "xla")),
    *(("jax", mode) for mode in ("jit", "scan", "pmap")),
    ("numpy", "eager"),
)
JOBS = [(*who, model, batch) for model in MODELS for batch in BATCH_SIZES for who in CONTENDERS]
EPOCHS = 3


@click.command()
@click.option("--trials", default=100_000, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the run and its report.")
def main(trials, keep):
    """Print the wall time and the peak memory of the report."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = (keep or Path(scratch)) / "run"
        model = records.MANIFEST.models["mlp"]
        records.store(folder, made(trials), models=dict.fromkeys(MODELS, model), epochs=EPOCHS)
        size = (folder / "trials.jsonl").stat().st_size
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "bench", "report", str(folder)], check=True)
        wall = time.monotonic() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{trials:,} trials, {size / 1e6:.0f} MB of records: status {done.returncode}, "
            f"{wall:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU time, "
            f"{used.ru_maxrss / 1024:.0f} MiB"
        )


def made(trials):
    """Yield the given number of trials, contender by contender within each repeat."""
    numbers = random.Random(0)
    for number in range(trials):
        repeat, job = divmod(number, len(JOBS))
        yield one(numbers, *JOBS[job], repeat + 1)


def one(numbers, backend, mode, model, batch_size, repeat):
    """Return a trial with every optional part of a record."""
    near = numbers.uniform(0.93, 1.07)
    throughput = 1e5 * (1 + CONTENDERS.index((backend, mode)) / 5) * near
    accuracy = numbers.uniform(0.96, 0.98)
    seconds = 59_968 / throughput
    epochs = [
        EpochRecord(seconds * numbers.uniform(0.99, 1.01), 0.3 / (epoch + 1), accuracy, 59_968, 0.1)
        for epoch in range(EPOCHS)
    ]
    return records.trial(
        backend,
        mode,
        repeat,
        model=model,
        batch_size=batch_size,
        throughput_images_per_second=throughput,
        test_accuracy=accuracy,
        peak_memory_bytes=int(numbers.uniform(4e8, 9e8)),
        compile_seconds=2 * near,
        train_seconds=sum(epoch.seconds for epoch in epochs),
        cold_start_seconds=4 * near,
        per_epoch=epochs,
        inference=msgspec.structs.replace(records.INFERENCE, latency_p50_seconds=1e-4 * near),
        limit=records.PEAK_SHARE,
        noise=records.NOISE,
        variables=ENVIRONMENT,
    )


ENVIRONMENT = {f"{name}_NUM_THREADS": "2" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}

if __name__ == "__main__":
    main()
