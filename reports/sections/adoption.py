"""What adopting each backend costs: packages, size, start time, memory, lines of adapter code."""

from collections.abc import Callable, Sequence
from statistics import median

from bench.records.manifest import Installation
from bench.records.trial import TrialRecord
from reports.analysis.runs import Source
from reports.display import NOT_KNOWN, fixed, plain, shown
from reports.document import Column, Part, Section, Table
from reports.metrics import MEBIBYTE

_INTRO = (
    "Packages and size are those of the framework and all that it requires, as the packages list "
    "their files; what else is installed does not count. Start and memory are medians over trials. "
    "The first trained step counts from the start of the process, in the mode that is the first to "
    "get there. Lines are those of the adapter in this suite, without empty ones: how much code it "
    "took to have the spec's work done at the framework's own speed."
)
_COLUMNS = (
    Column("Backend"),
    Column("Release"),
    Column("Packages", number=True),
    Column("Size, MiB", number=True),
    Column("Import, s", number=True),
    Column("Memory after import, MiB", number=True),
    Column("First trained step, s", number=True),
    Column("Adapter, lines", number=True),
)
_WHERE = (
    Column("Backend"),
    Column("Asked for"),
    Column("Python"),
    Column("Environment"),
    Column("What came of it"),
)

Read = Callable[[TrialRecord], float | None]


def adopting_sections(sources: Sequence[Source]) -> list[Section]:
    """The section; none for runs that do not tell what was installed."""
    told = [source for source in sources if source.run.manifest.installations]
    if not told:
        return []
    parts = [part for source in told for part in _parts(source, len(told) > 1)]
    return [Section("adopting", "What adopting costs", tuple(parts), _INTRO, reference=True)]


def _parts(source: Source, is_one_of_many: bool) -> list[Part]:
    found = source.run.manifest.installations
    rows = tuple(_row(source, name, each) for name, each in found.items())
    where = tuple(_where(name, each) for name, each in found.items())
    heading = source.name if is_one_of_many else ""
    return [
        Part(heading=heading, table=Table("Installation and start", _COLUMNS, rows)),
        Part(table=Table("What was asked for, and the versions that came of it", _WHERE, where)),
    ]


def _row(source: Source, backend: str, found: Installation) -> tuple[str, ...]:
    trials = [trial for trial in source.run.trials if trial.job.backend == backend]
    return (
        plain(backend),
        plain(source.run.manifest.framework_versions.get(backend) or NOT_KNOWN),
        f"{len(found.packages):,}",
        f"{found.size_bytes / MEBIBYTE:,.0f}",
        shown(_median(trials, lambda trial: trial.import_seconds), fixed(2)),
        shown(_median(trials, lambda trial: trial.baseline_memory_bytes), fixed(0, 1 / MEBIBYTE)),
        shown(_quickest_start(trials), fixed(2)),
        f"{found.adapter_lines:,}",
    )


def _quickest_start(trials: Sequence[TrialRecord]) -> float | None:
    """The cold start of the mode that is the first to train: others compile for longer."""
    modes = {trial.job.mode for trial in trials}
    starts = [
        _median([trial for trial in trials if trial.job.mode == mode], _cold_start)
        for mode in modes
    ]
    return min((start for start in starts if start is not None), default=None)


def _cold_start(trial: TrialRecord) -> float | None:
    return trial.cold_start_seconds


def _where(backend: str, found: Installation) -> tuple[str, ...]:
    versions = ", ".join(f"{name} {version}" for name, version in found.packages.items())
    return (
        plain(backend),
        plain(", ".join(found.requirements)),
        plain(found.python),
        "its own" if found.own_environment else "the suite's",
        plain(versions),
    )


def _median(trials: Sequence[TrialRecord], read: Read) -> float | None:
    known = [value for trial in trials if (value := read(trial)) is not None]
    return median(known) if known else None
