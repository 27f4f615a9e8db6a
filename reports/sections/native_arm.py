"""The native arm: what each framework chose by itself, and what that cost in accuracy."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from bench.records.trial import TrialRecord
from reports.analysis.runs import Source
from reports.analysis.trials import CONTENDER_COORDINATES, contender_label
from reports.display import NOT_KNOWN, fixed, plain, shown
from reports.document import Column, Part, Section, Table


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
    columns = (Column("Item"), *(Column(plain(backend)) for backend in chosen))
    return Table("Choices of the frameworks", columns, rows)


def _accuracies(trials: pd.DataFrame) -> Table:
    columns = (
        Column("Contender"),
        Column("Model"),
        Column("Controlled, %", number=True),
        Column("Native, %", number=True),
        Column("Difference, points", number=True),
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
