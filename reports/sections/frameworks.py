"""Sections on the frameworks themselves: what adopting each costs, and the native arm.

The native arm shows what each framework chose by itself, and what that cost in accuracy.
"""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from bench.records.manifest import Installation
from bench.records.trial import TrialRecord
from reports.analysis.runs import Source
from reports.analysis.trials import CONTENDER_COORDINATES, contender_label
from reports.display import NOT_KNOWN, fixed, plain, shown
from reports.document import Part, Section, Table, numbers, texts
from reports.metrics import MEBIBYTE

_INTRO = (
    "Packages and size cover the framework and its dependencies, by the files that the packages "
    "list. Start and memory are medians over trials. The first trained step counts from the start "
    "of the process, in the mode that is the first to get there. Lines are the adapter's in this "
    "suite without empty ones: how much code it took to do the spec's work at the framework's own "
    "speed."
)
_COLUMNS = (
    *texts("Backend", "Release"),
    *numbers(
        "Packages",
        "Size, MiB",
        "Import, s",
        "Memory after import, MiB",
        "First trained step, s",
        "Adapter, lines",
    ),
)
_WHERE = texts("Backend", "Requested", "Python", "Environment", "Installed")


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


def arm_sections(sources: Sequence[Source], trials: pd.DataFrame) -> list[Section]:
    """Return the section on the native arm; none if no trial ran in it."""
    records = [record for source in sources for record in source.run.trials]
    native = [record for record in records if record.native_settings]
    if not native:
        return []
    intro = (
        "In the native arm each framework chooses what its user would leave unsaid. Its trials "
        "have separate rankings: their work is not equal, and that is what the arm shows."
    )
    parts = (Part(table=_choices(native)), Part(table=_accuracies(trials)))
    return [Section("arms", "What each framework chose by itself", parts, intro)]


def _choices(native: Sequence[TrialRecord]) -> Table:
    """Return a table with a row per item and a column per backend."""
    chosen = {record.job.backend: record.native_settings for record in native}
    items = dict.fromkeys(item for settings in chosen.values() for item in settings)
    rows = tuple(
        (plain(item), *(plain(settings.get(item, NOT_KNOWN)) for settings in chosen.values()))
        for item in items
    )
    columns = texts("Item", *(plain(backend) for backend in chosen))
    return Table("Choices of the frameworks", columns, rows)


def _accuracies(trials: pd.DataFrame) -> Table:
    columns = (
        *texts("Contender", "Model"),
        *numbers("Controlled, %", "Native, %", "Difference, points"),
    )
    return Table("Test accuracy in both arms, medians", columns, tuple(_accuracy_rows(trials)))


def _accuracy_rows(trials: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for (*_, model), own in trials.groupby([*CONTENDER_COORDINATES, "model"], sort=False):
        medians = 100 * own.groupby("arm")["test_accuracy"].median()
        controlled, native = (medians.get(arm, math.nan) for arm in ("controlled", "native"))
        if not math.isnan(native):
            percentages = shown(controlled, fixed(2)), shown(native, fixed(2))
            difference = shown(native - controlled, "{:+.2f}".format)
            yield contender_label(own.iloc[0]), plain(model), *percentages, difference
