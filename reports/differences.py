"""What differs between two runs in machine, versions and what was asked."""

from collections.abc import Iterator

import msgspec

from bench.records import Run
from reports.formats import NOT_KNOWN, plain

Difference = tuple[str, str, str]

_MACHINE = (
    *("hostname", "cpu_model", "physical_cores", "logical_cores", "usable_cpus"),
    *("memory_bytes", "operating_system", "python"),
)
_ASKED = ("suite_version", "epochs", "repeats", "seed", "threads", "train_samples", "data_dir")


def differences(base: Run, new: Run) -> list[Difference]:
    """A name and both values of each fact in which the runs differ."""
    return [found for found in _facts(base, new) if found[1] != found[2]]


def is_same_machine(base: Run, new: Run) -> bool:
    """Whether both ran on like hardware of one name."""
    hardware = _MACHINE[:6]
    told = [[getattr(run.manifest.machine, name) for name in hardware] for run in (base, new)]
    return told[0] == told[1] and _gpus(base) == _gpus(new)


def _facts(base: Run, new: Run) -> Iterator[Difference]:
    runs = (base, new)
    for name in _MACHINE:
        first, second = (_text(getattr(run.manifest.machine, name)) for run in runs)
        yield f"machine: {name.replace('_', ' ')}", first, second
    yield "machine: GPUs", _gpus(base), _gpus(new)
    for name in _ASKED:
        first, second = (_text(getattr(run.manifest, name)) for run in runs)
        yield name.replace("_", " "), first, second
    yield "optimizer", _optimizer(base), _optimizer(new)
    versions = [_versions(run) for run in runs]
    for package in sorted({*versions[0], *versions[1]}):
        first, second = (found.get(package, NOT_KNOWN) for found in versions)
        yield f"version: {package}", first, second


def _text(value: object) -> str:
    return NOT_KNOWN if value is None else plain(str(value))


def _gpus(run: Run) -> str:
    return "; ".join(plain(gpu.name) for gpu in run.manifest.machine.gpus) or "none"


def _optimizer(run: Run) -> str:
    return plain(msgspec.json.encode(run.manifest.optimizer).decode())


def _versions(run: Run) -> dict[str, str]:
    """Of the packages that workers loaded, and of each backend's framework."""
    found: dict[str, set[str]] = {}
    loaded = [item for trial in run.trials for item in trial.versions.items()]
    for name, version in (*run.manifest.framework_versions.items(), *loaded):
        found.setdefault(plain(name), set()).add(plain(version))
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
