"""What adopting each backend costs: packages, size, start time, memory, lines of adapter code."""

from collections.abc import Sequence

import pandas as pd

from bench.records.manifest import Installation
from reports.analysis.runs import Source
from reports.display import NOT_KNOWN, fixed, plain, shown
from reports.document import Column, Part, Section, Table
from reports.metrics import MEBIBYTE

_INTRO = (
    "Packages and size cover the framework and its dependencies, by the files that the packages "
    "list. Start and memory are medians over trials. The first trained step counts from the start "
    "of the process, in the mode that is the first to get there. Lines are the adapter's in this "
    "suite without empty ones: how much code it took to do the spec's work at the framework's own "
    "speed."
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
    Column("Requested"),
    Column("Python"),
    Column("Environment"),
    Column("Installed"),
)


def adopting_sections(sources: Sequence[Source], trials: pd.DataFrame) -> list[Section]:
    """Return the section; none for runs that do not record what was installed."""
    known = [source for source in sources if source.run.manifest.installations]
    if not known:
        return []
    parts = [part for source in known for part in _parts(source, trials, len(known) > 1)]
    return [Section("adopting", "What adopting costs", tuple(parts), _INTRO, reference=True)]


def _parts(source: Source, trials: pd.DataFrame, is_one_of_many: bool) -> list[Part]:
    own = trials[trials["run"] == source.name]
    installations = source.run.manifest.installations
    rows = tuple(_row(source, own, name, each) for name, each in installations.items())
    where = tuple(_where(name, each) for name, each in installations.items())
    heading = source.name if is_one_of_many else ""
    return [
        Part(heading=heading, table=Table("Installation and start", _COLUMNS, rows)),
        Part(table=Table("Requested and installed versions", _WHERE, where)),
    ]


def _row(
    source: Source, trials: pd.DataFrame, backend: str, found: Installation
) -> tuple[str, ...]:
    own = trials[trials["backend"] == backend]
    # Only the mode that trains first: others compile for longer.
    cold_start = own.groupby("mode")["cold_start_seconds"].median().min()
    return (
        plain(backend),
        plain(source.run.manifest.framework_versions.get(backend) or NOT_KNOWN),
        f"{len(found.packages):,}",
        f"{found.size_bytes / MEBIBYTE:,.0f}",
        shown(_median(own["import_seconds"]), fixed(2)),
        shown(_median(own["baseline_memory_bytes"]), fixed(0, 1 / MEBIBYTE)),
        shown(cold_start, fixed(2)),
        f"{found.adapter_lines:,}",
    )


def _where(backend: str, found: Installation) -> tuple[str, ...]:
    versions = ", ".join(f"{name} {version}" for name, version in found.packages.items())
    return (
        plain(backend),
        plain(", ".join(found.requirements)),
        plain(found.python),
        "its own" if found.own_environment else "the suite's",
        plain(versions),
    )


def _median(values: "pd.Series[float]") -> float | None:
    known = values.dropna()
    return float(known.median()) if len(known) else None
