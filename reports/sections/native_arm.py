"""The native arm: what each framework chose by itself, and what that cost in accuracy."""

from collections.abc import Iterator, Sequence
from statistics import median

from bench.records.trial import TrialRecord
from reports.analysis.runs import Source
from reports.display import NOT_KNOWN, plain
from reports.document import Column, Part, Section, Table


def arm_sections(sources: Sequence[Source]) -> list[Section]:
    """The section on the native arm; none where no trial ran in it."""
    records = [record for source in sources for record in source.run.trials]
    native = [record for record in records if record.native_settings]
    if not native:
        return []
    intro = (
        "In the native arm each framework chooses what its user would leave unsaid. Its trials "
        "have rankings of their own: their work is not equal, and that is what the arm shows."
    )
    parts = (Part(table=_choices(native)), Part(table=_accuracies(records)))
    return [Section("arms", "What each framework chose by itself", parts, intro)]


def _choices(native: Sequence[TrialRecord]) -> Table:
    """A row an item, a column a backend."""
    chosen = {record.job.backend: record.native_settings for record in native}
    items = dict.fromkeys(item for settings in chosen.values() for item in settings)
    rows = tuple(
        (plain(item), *(plain(settings.get(item, NOT_KNOWN)) for settings in chosen.values()))
        for item in items
    )
    columns = (Column("Item"), *(Column(plain(backend)) for backend in chosen))
    return Table("The frameworks' own choices", columns, rows)


def _accuracies(records: Sequence[TrialRecord]) -> Table:
    columns = (
        Column("Contender"),
        Column("Model"),
        Column("Controlled, %", number=True),
        Column("Native, %", number=True),
        Column("Difference, points", number=True),
    )
    return Table("Test accuracy in both arms, medians", columns, tuple(_accuracy_rows(records)))


def _accuracy_rows(records: Sequence[TrialRecord]) -> Iterator[tuple[str, ...]]:
    known = [record for record in records if record.test_accuracy is not None]
    for backend, mode, model in dict.fromkeys(map(_contender, known)):
        own = [record for record in known if _contender(record) == (backend, mode, model)]
        controlled, native = (_percent(own, arm) for arm in ("controlled", "native"))
        if native is None:
            continue
        difference = NOT_KNOWN if controlled is None else f"{native - controlled:+.2f}"
        shown = NOT_KNOWN if controlled is None else f"{controlled:.2f}"
        yield plain(f"{backend} {mode}"), plain(model), shown, f"{native:.2f}", difference


def _contender(record: TrialRecord) -> tuple[str, str, str]:
    return record.job.backend, record.job.mode, record.job.model


def _percent(records: Sequence[TrialRecord], arm: str) -> float | None:
    values = [record.test_accuracy for record in records if record.job.arm == arm]
    known = [value for value in values if value is not None]
    return 100 * median(known) if known else None
