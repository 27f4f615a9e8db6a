"""The runs of a report, each with a unique name and the name of its machine."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.records.manifest import Machine
from bench.records.reader import Run, read_run
from reports.display import plain


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
