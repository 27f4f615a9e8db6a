"""Records with known numbers, and run folders that contain them."""

from pathlib import Path
from statistics import median

import msgspec

from bench.records.manifest import DatasetFacts, Machine, Manifest, ModelFacts
from bench.records.reader import Run
from bench.records.trial import (
    Attempt,
    EpochRecord,
    Inference,
    Noise,
    PeakShare,
    Slice,
    TrialRecord,
)
from bench.spec.job import Job
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Sgd
from reports.analysis.rankings import Ranking, rankings_of
from reports.analysis.runs import name_sources

MACHINE = Machine(
    hostname="bench-host",
    cpu_model="AMD EPYC 7763",
    physical_cores=1,
    logical_cores=2,
    usable_cpus=2,
    memory_bytes=8 * 2**30,
    operating_system="Debian 12, kernel 6.1",
    python="3.11.7",
    load_average=[0.1, 0.2, 0.3],
)
MANIFEST = Manifest(
    suite_version="0.1",
    started_at="2026-01-01T00:00:00+00:00",
    command="python -m bench run --backends all",
    machine=MACHINE,
    dataset=DatasetFacts("mnist", 60_000, 10_000, (28, 28, 1), 10),
    models={"mlp": ModelFacts(sequential(Flatten(), Dense(10)), 109_386, 109_184)},
    optimizer=Sgd(),
    epochs=3,
    repeats=3,
    seed=0,
    threads=2,
    timeout_seconds=600,
    verified=True,
    framework_versions={"jax": "0.10.2", "torch": "2.13.0"},
    plan=[],
)
NOISE = Noise(
    canary_before_seconds=0.1,
    canary_after_seconds=0.13,
    canary_usual_seconds=0.1,
    train_cpu_seconds=1.5,
    train_involuntary_switches=40,
    train_other_seconds=0.2,
    flags=("slow canary",),
    attempts=(Attempt(("other processes",), 9.0),),
)
PEAK_SHARE = PeakShare(
    flops_per_image=454_400,
    achieved_flops_per_second=9e10,
    peak_flops_per_second=4e11,
    peak_backend="jax",
    own_peak_flops_per_second=2e11,
    share_of_peak=0.225,
)
INFERENCE = Inference(
    latency_p50_seconds=1e-4,
    latency_p95_seconds=2e-4,
    latency_p99_seconds=3e-4,
    latency_calls=2_000,
    throughput_images_per_second=3e5,
    throughput_batch_size=1_000,
    throughput_calls=100,
    compile_seconds=0.1,
    seconds=1.0,
)
EPOCHS = ((0.50, 0.93), (0.25, 0.96), (0.25, 0.975))


def trial(backend="torch", mode="eager", repeat=1, **changes):
    """Create the record of a successful trial of three epochs, with some fields changed."""
    base = TrialRecord(
        trial="",
        job=Job("mlp", 64, backend, mode, "cpu"),
        framework_version="1.0",
        versions={backend: "1.0"},
        dataset="mnist",
        equivalence="passed",
        epochs=3,
        threads=2,
        seed=repeat - 1,
        repeat=repeat,
        outcome="ok",
        throughput_images_per_second=100_000.0,
        test_accuracy=0.975,
        final_train_loss=0.0812,
        peak_memory_bytes=300 * 2**20,
        baseline_memory_bytes=100 * 2**20,
        import_seconds=1.5,
        data_seconds=0.25,
        build_seconds=0.125,
        compile_seconds=0.0625,
        train_seconds=1.0,
        evaluate_seconds=0.3,
        wall_seconds=4.0,
        per_epoch=[EpochRecord(s, 0.1, accuracy, 59_968, 0.1) for s, accuracy in EPOCHS],
    )
    made = changed(base, **changes)
    job = made.job
    name = f"{job.model}-b{job.batch_size}-{backend}-{mode}-{job.device}-r{made.repeat}"
    return msgspec.structs.replace(made, trial=name)


def changed(record, **changes):
    """Change fields of a record and of its job. `threads` is the record's field, not the job's."""
    coordinates = {
        name: changes.pop(name)
        for name in Job.__struct_fields__
        if name in changes and name not in TrialRecord.__struct_fields__
    }
    job = msgspec.structs.replace(record.job, **coordinates)
    return msgspec.structs.replace(record, job=job, **changes)


def repeated(backend, mode, throughputs, **changes):
    """Create one successful trial per throughput."""
    return [
        trial(backend, mode, repeat, throughput_images_per_second=value, **changes)
        for repeat, value in enumerate(throughputs, start=1)
    ]


def in_rounds(backend, mode, repeat, rates, flagged=(), **changes):
    """Create a trial that took turns: one slice of 0.25 s per rate, every 3 s.

    Args:
        backend: of the job.
        mode: of the job.
        repeat: of the trial; repeats begin an hour apart.
        rates: images/s of each slice.
        flagged: numbers of the rounds in which its slice was disturbed, from 1.
        changes: see `trial`.
    """
    slices = [
        Slice(
            kind="train",
            round=number,
            at_seconds=3.0 * (number - 1),
            images=round(rate / 4),
            seconds=0.25,
            flags=("other processes",) if number in flagged else (),
        )
        for number, rate in enumerate(rates, start=1)
    ]
    usual = {
        "rounds_began_at": f"2026-01-01T{repeat:02}:00:00.000000+00:00",
        "throughput_images_per_second": median(rates),
        "slices": slices,
    }
    return trial(backend, mode, repeat, **usual | changes)


# What a trial that reused caches and left epochs out does not know.
WARM = dict.fromkeys(
    (
        *("import_seconds", "build_seconds", "compile_seconds", "cold_start_seconds"),
        *("test_accuracy", "final_train_loss", "inference"),
    )
) | {"is_cold": False, "per_epoch": []}


def failed(backend="torch", mode="compile", outcome="timeout", reason="too slow", **changes):
    """Create the record of a failed trial, which has no measurements."""
    return trial(
        backend,
        mode,
        changes.pop("repeat", 1),
        outcome=outcome,
        reason=reason,
        per_epoch=[],
        **{
            name: None
            for name in TrialRecord.__struct_fields__
            if name.endswith(("_seconds", "_bytes"))
            or name in ("throughput_images_per_second", "test_accuracy", "final_train_loss")
        },
        **changes,
    )


def store(folder: Path, trials, **changes) -> Path:
    """Write the run folder of the trials, with some fields of the manifest changed."""
    folder.mkdir()
    manifest = msgspec.structs.replace(MANIFEST, **changes)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in trials)
    (folder / "trials.jsonl").write_bytes(lines)
    return folder


def run_of(trials, **changes) -> Run:
    """Return a run with these trials and some fields of the manifest changed, without a folder."""
    return Run(Path("run"), msgspec.structs.replace(MANIFEST, **changes), list(trials))


def ranked(trials, **changes) -> list[Ranking]:
    """Return the rankings of such a run."""
    return rankings_of(name_sources([run_of(trials, **changes)]))


# Medians 200,000, 100,000 (one of three failed) and 50,000; the ranges do not touch.
TRIALS = [
    *repeated("jax", "scan", [190_000.0, 200_000.0, 230_000.0], framework_version="0.10.2"),
    *repeated("torch", "eager", [90_000.0, 110_000.0]),
    failed("torch", "eager", "crashed", "killed by\n\x1b[31mSIGSEGV", repeat=3),
    *repeated("numpy", "default", [50_000.0], device_peak_memory_bytes=None),
    failed("torch", "compile", "timeout", "<b>not done</b> | after 600 s & more"),
]
