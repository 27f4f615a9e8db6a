"""What differs between two runs in machine, versions and what was asked."""

from collections.abc import Sequence

import msgspec

from bench.records.reader import Run
from reports.display import NOT_KNOWN, plain

Difference = tuple[str, str, str]

_MACHINE = (
    *("hostname", "cpu_model", "physical_cores", "logical_cores", "usable_cpus"),
    *("memory_bytes", "operating_system", "python"),
)
_ASKED = ("suite_version", "epochs", "repeats", "seed", "threads", "train_samples", "data_dir")


def differences(base: Run, new: Run) -> list[Difference]:
    """A name and both values of each fact in which the runs differ."""
    return [(name, first, second) for name, (first, second) in differing([base, new])]


def differing(runs: Sequence[Run]) -> list[tuple[str, tuple[str, ...]]]:
    """A name, and the value of each run, of each fact in which any of the runs differ."""
    told = [_facts(run) for run in runs]
    versions = sorted({name for facts in told for name in facts} - set(told[0]))
    found = [
        (name, tuple(facts.get(name, NOT_KNOWN) for facts in told))
        for name in (*told[0], *versions)
    ]
    return [(name, values) for name, values in found if len(set(values)) > 1]


def is_same_machine(base: Run, new: Run) -> bool:
    """Whether both ran on like hardware of one name."""
    hardware = _MACHINE[:6]
    told = [[getattr(run.manifest.machine, name) for name in hardware] for run in (base, new)]
    return told[0] == told[1] and _gpus(base) == _gpus(new)


def _facts(run: Run) -> dict[str, str]:
    manifest = run.manifest
    machine = {
        f"machine: {name.replace('_', ' ')}": _text(getattr(manifest.machine, name))
        for name in _MACHINE
    }
    asked = {name.replace("_", " "): _text(getattr(manifest, name)) for name in _ASKED}
    versions = {f"version: {name}": text for name, text in sorted(_versions(run).items())}
    return {
        **machine,
        "machine: GPUs": _gpus(run),
        **asked,
        "optimizer": _optimizer(run),
        **versions,
    }


def _text(value: object) -> str:
    return NOT_KNOWN if value is None else plain(str(value))


def _gpus(run: Run) -> str:
    return "; ".join(plain(gpu.name) for gpu in run.manifest.machine.gpus) or "none"


def _optimizer(run: Run) -> str:
    return plain(msgspec.json.encode(run.manifest.optimizer).decode())


def _versions(run: Run) -> dict[str, str]:
    """Of the packages that workers loaded, and of each backend's framework."""
    found: dict[str, set[str]] = {}
    loaded = {item for trial in run.trials for item in trial.versions.items()}
    for name, version in (*run.manifest.framework_versions.items(), *loaded):
        found.setdefault(plain(name), set()).add(plain(version))
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
