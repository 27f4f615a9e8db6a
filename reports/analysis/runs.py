"""The runs of a report, with names for them and their machines, and what differs between them."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.records.manifest import Machine
from bench.records.reader import Run, read_run
from reports.display import NOT_KNOWN, plain

Difference = tuple[str, str, str]

_MACHINE = (
    *("hostname", "cpu_model", "physical_cores", "logical_cores", "usable_cpus"),
    *("memory_bytes", "operating_system", "python"),
)
_REQUEST = ("suite_version", "epochs", "repeats", "seed", "threads", "train_samples", "data_dir")


class Source(NamedTuple):
    """A run in a report.

    Attributes:
        run: the run as read from its folder.
        name: the folder's name, made unique within the report.
        machine: the machine's name, unique within the report.
    """

    run: Run
    name: str
    machine: str


def read_sources(folders: Sequence[Path]) -> list[Source]:
    """Read the runs; a folder that is given twice is read once.

    Raises:
        bench.errors.RecordError: a folder holds no run.
    """
    distinct_folders = dict.fromkeys(folder.resolve() for folder in folders)
    return name_sources([read_run(folder) for folder in distinct_folders])


def name_sources(runs: Sequence[Run]) -> list[Source]:
    """Give each run and each machine a unique name."""
    names = distinct([plain(run.folder.name) or "run" for run in runs])
    identities = [_identity(run.manifest.machine) for run in runs]
    machines = list(dict.fromkeys(identities))
    hosts = distinct([plain(str(machine[0])) or "machine" for machine in machines])
    called = dict(zip(machines, hosts, strict=True))
    return [
        Source(run, name, called[identity])
        for run, name, identity in zip(runs, names, identities, strict=True)
    ]


def distinct(names: Sequence[str], form: str = "{} ({})") -> list[str]:
    """Return the names with a number after each repeated one: a, b, a (2)."""
    made: dict[str, None] = {}
    for name in names:
        numbered = (form.format(name, number) for number in itertools.count(2))
        free = next(word for word in itertools.chain([name], numbered) if word not in made)
        made[free] = None
    return list(made)


def _identity(machine: Machine) -> tuple[object, ...]:
    """Return what identifies a machine in a benchmark, which does not include its software."""
    return (
        machine.hostname,
        machine.cpu_model,
        machine.physical_cores,
        machine.logical_cores,
        machine.usable_cpus,
        machine.memory_bytes,
        tuple((gpu.name, gpu.memory_bytes) for gpu in machine.gpus),
    )


def differences(base: Run, new: Run) -> list[Difference]:
    """Return the name and both values of each fact in which the runs differ."""
    return [(name, first, second) for name, (first, second) in differing([base, new])]


def differing(runs: Sequence[Run]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the name and the value in each run of every fact in which the runs differ."""
    facts = [_facts(run) for run in runs]
    versions = sorted({name for own in facts for name in own} - set(facts[0]))
    found = [
        (name, tuple(own.get(name, NOT_KNOWN) for own in facts)) for name in (*facts[0], *versions)
    ]
    return [(name, values) for name, values in found if len(set(values)) > 1]


def is_same_machine(base: Run, new: Run) -> bool:
    """Return whether both ran on equal hardware with the same host name."""
    hardware = _MACHINE[:6]
    values = [[getattr(run.manifest.machine, name) for name in hardware] for run in (base, new)]
    return values[0] == values[1] and _gpus(base) == _gpus(new)


def _facts(run: Run) -> dict[str, str]:
    manifest = run.manifest
    machine = {
        f"machine: {name.replace('_', ' ')}": _text(getattr(manifest.machine, name))
        for name in _MACHINE
    }
    request = {name.replace("_", " "): _text(getattr(manifest, name)) for name in _REQUEST}
    versions = {f"version: {name}": text for name, text in sorted(_versions(run).items())}
    return {
        **machine,
        "machine: GPUs": _gpus(run),
        **request,
        "optimizer": plain(msgspec.json.encode(manifest.optimizer).decode()),
        **versions,
    }


def _text(value: object) -> str:
    return NOT_KNOWN if value is None else plain(str(value))


def _gpus(run: Run) -> str:
    return "; ".join(plain(gpu.name) for gpu in run.manifest.machine.gpus) or "none"


def _versions(run: Run) -> dict[str, str]:
    """Return the versions of the packages that workers loaded and of each framework."""
    found: dict[str, set[str]] = {}
    loaded = {item for trial in run.trials for item in trial.versions.items()}
    for name, version in (*run.manifest.framework_versions.items(), *loaded):
        found.setdefault(plain(name), set()).add(plain(version))
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
