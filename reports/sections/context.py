"""The sections to look things up in: what was trained, where, how to repeat it, what words mean."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from bench.records.manifest import Gpu, Machine
from reports.analysis.runs import Source, differing
from reports.display import NOT_KNOWN, count, listed, plain
from reports.document import Column, Part, Section, Table, numbers, texts
from reports.metrics import MEBIBYTE, METRICS

_GIBIBYTE = 1024 * MEBIBYTE


def context_sections(sources: Sequence[Source]) -> list[Section]:
    """Return the sections in the order in which they are read."""
    parts = (
        *_differing(sources),
        Part(table=_machines(sources)),
        Part(table=_versions(sources)),
    )
    return [
        _work(sources),
        Section("machine", "Machine and versions", parts, reference=True),
        Section("command", "Reproduce this", tuple(_command(source) for source in sources)),
        Section(
            "glossary",
            "Glossary",
            (Part(table=_glossary()),),
            "Quantities are medians over the trials of a contender, but throughput is the estimate "
            "that the order follows. Each trial is a fresh process. Relative is the throughput as "
            "a share of the first contender's. A rank is the range of places that a contender can "
            "have, given the verdicts on its pairs. "
            f"A {NOT_KNOWN} stands for what is not known.",
            reference=True,
        ),
    ]


def _work(sources: Sequence[Source]) -> Section:
    parts = (Part(table=_models(sources)), Part(table=_training(sources)))
    return Section("work", "Data and models", parts)


def _models(sources: Sequence[Source]) -> Table:
    facts = {
        (name, model.num_parameters, model.macs_per_image)
        for source in sources
        for name, model in source.run.manifest.models.items()
    }
    rows = tuple(
        (plain(name), f"{parameters:,}", f"{macs:,}") for name, parameters, macs in sorted(facts)
    )
    columns = (*texts("Model"), *numbers("Parameters", "Multiply-accumulates per image"))
    return Table("Models and their size", columns, rows)


def _training(sources: Sequence[Source]) -> Table:
    facts: dict[str, Callable[[Source], str]] = {
        "Data set": lambda source: plain(source.run.manifest.dataset.name),
        "Training examples": lambda source: f"{source.run.manifest.dataset.train_examples:,}",
        "Test examples": lambda source: f"{source.run.manifest.dataset.test_examples:,}",
        "Image": lambda source: " by ".join(map(str, source.run.manifest.dataset.input_shape)),
        "Classes": lambda source: f"{source.run.manifest.dataset.classes:,}",
        "Optimizer": _optimizer,
        "Epochs": lambda source: f"{source.run.manifest.epochs:,}",
        "Repeats": _repeats,
        "Seed": lambda source: str(source.run.manifest.seed),
        "Time limit of a trial": lambda source: f"{source.run.manifest.timeout_seconds:,g} s",
    }
    return _facts("What was trained, and how", facts, sources)


def _repeats(source: Source) -> str:
    manifest = source.run.manifest
    if manifest.time_limit is None:
        return f"{manifest.repeats:,}"
    limit = f"at most {manifest.repeats:,} in {manifest.time_limit.seconds:,g} s per ranking"
    reasons = dict.fromkeys(each.reason for each in manifest.time_limit.ended.values())
    return f"{limit}, until {listed(list(reasons)) or 'the run was interrupted'}"


def _optimizer(source: Source) -> str:
    stated = msgspec.to_builtins(source.run.manifest.optimizer)
    kind = str(stated.pop("kind"))
    values = [f"{name.replace('_', ' ')} {value}".lower() for name, value in stated.items()]
    return f"{kind}: {', '.join(values)}"


def _facts(
    caption: str, facts: dict[str, Callable[[Source], str]], sources: Sequence[Source]
) -> Table:
    """Return a table with a row per fact and a column per run."""
    rows = tuple((name, *(fact(source) for source in sources)) for name, fact in facts.items())
    return Table(caption, _run_columns("", sources), rows)


def _run_columns(first: str, sources: Sequence[Source]) -> tuple[Column, ...]:
    return texts(first or "Fact", *(source.name for source in sources))


def _differing(sources: Sequence[Source]) -> list[Part]:
    """Return the table of what differs between several runs."""
    found = differing([source.run for source in sources])
    rows = tuple((name, *values) for name, values in found)
    if not rows:
        return []
    table = Table("What differs between the runs", _run_columns("", sources), rows)
    return [Part(heading="What differs", table=table)]


def _machines(sources: Sequence[Source]) -> Table:
    facts: dict[str, Callable[[Machine], str]] = {
        "Processor": lambda machine: plain(machine.cpu_model or NOT_KNOWN),
        "Cores": _cores,
        "Memory": lambda machine: f"{machine.memory_bytes / _GIBIBYTE:,.1f} GiB",
        "GPU": lambda machine: "; ".join(map(_gpu, machine.gpus)) or "none",
        "System": lambda machine: plain(machine.operating_system),
        "Python of the runner": lambda machine: plain(machine.python),
        "Load when the run began": _load,
    }
    all_facts: dict[str, Callable[[Source], str]] = {
        "Machine": lambda source: source.machine,
        **{name: _of_machine(fact) for name, fact in facts.items()},
        "Run began": lambda source: plain(source.run.manifest.started_at),
    }
    return _facts("The machine of each run", all_facts, sources)


def _of_machine(fact: Callable[[Machine], str]) -> Callable[[Source], str]:
    return lambda source: fact(source.run.manifest.machine)


def _cores(machine: Machine) -> str:
    physical, logical = (
        NOT_KNOWN if cores is None else str(cores)
        for cores in (machine.physical_cores, machine.logical_cores)
    )
    return f"{physical} physical, {logical} logical, {machine.usable_cpus} usable by the run"


def _gpu(gpu: Gpu) -> str:
    memory = f"{gpu.memory_bytes / _GIBIBYTE:,.1f} GiB"
    return f"{plain(gpu.name)} ({memory}, driver {plain(gpu.driver)})"


def _load(machine: Machine) -> str:
    if machine.load_average is None:
        return NOT_KNOWN
    return ", ".join(f"{load:.2f}" for load in machine.load_average)


def _versions(sources: Sequence[Source]) -> Table:
    """Return the versions of the suite, the frameworks and the packages that workers loaded."""
    found: defaultdict[str, dict[str, set[str]]] = defaultdict(dict)
    for source in sources:
        for name, version in _named_versions(source):
            found[plain(name)].setdefault(source.name, set()).add(plain(version))
    rows = tuple(
        (name, *(", ".join(sorted(versions.get(run.name, ()))) or NOT_KNOWN for run in sources))
        for name, versions in found.items()
    )
    return Table("Versions of what took part", _run_columns("Package", sources), rows)


def _named_versions(source: Source) -> list[tuple[str, str]]:
    manifest = source.run.manifest
    loaded = {item for trial in source.run.trials for item in trial.versions.items()}
    return [
        ("evenbench", manifest.suite_version),
        ("python of the runner", manifest.machine.python),
        *sorted({*manifest.framework_versions.items(), *loaded}),
    ]


def _command(source: Source) -> Part:
    manifest = source.run.manifest
    checked = (
        "The work of each contender was checked against the reference before its trials."
        if manifest.verified
        else "Whether the contenders do equal work was not checked in this run."
    )
    planned = f"{count(len(manifest.plan), 'trial')} planned"
    return Part(
        heading=source.name,
        note=f"began {plain(manifest.started_at)}, {planned}",
        code="\n".join(_steps(source)),
        paragraphs=(checked, *map(plain, manifest.notes)),
    )


def _steps(source: Source) -> Iterator[str]:
    """Yield the commands that repeat the run in a clone of the suite at its version."""
    manifest = source.run.manifest
    machine = manifest.machine
    yield f"# evenbench {plain(manifest.suite_version)}, Python {plain(machine.python)}"
    yield f"# on {plain(machine.cpu_model or 'an unknown processor')}, {_cores(machine)}"
    own = {name: each for name, each in manifest.installations.items() if each.own_environment}
    loaded = {
        item
        for trial in source.run.trials
        if trial.job.backend not in own
        for item in trial.versions.items()
    }
    yield f"python -m pip install . {_pins(sorted(loaded))}".rstrip()
    for name, each in own.items():
        yield f"# {plain(name)}, Python {plain(each.python)}: {_pins(each.packages.items())}"
    yield plain(manifest.command)
    yield f"python -m bench compare {shlex.quote(source.name)} runs/YOURS"


def _pins(versions: Iterable[tuple[str, str]]) -> str:
    return " ".join(shlex.quote(plain(f"{name}=={text}")) for name, text in versions)


def _glossary() -> Table:
    rows = tuple(
        (
            metric.title,
            metric.unit or NOT_KNOWN,
            metric.direction or "neither",
            metric.meaning,
        )
        for metric in METRICS
    )
    columns = texts("Quantity", "Unit", "Better", "Meaning")
    return Table("What each quantity means", columns, rows)
