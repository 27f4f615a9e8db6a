"""The section on data-parallel training: what more processes or devices gain."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from bench.statistics.families import ratio_of
from reports.analysis.counterparts import Asked, Measured, measured_by_asked
from reports.analysis.runs import Source
from reports.display import NOT_KNOWN, fixed, shown, significant
from reports.document import Column, Part, Section, Table
from reports.metrics import THROUGHPUT
from reports.sections.cells import times

_INTRO = (
    "Against one process or device with as many threads: strong scaling keeps the batch of a step, "
    "weak scaling keeps the part of it that each has. Efficiency is the ratio by the world size: "
    "100 % is a gain in proportion. Communication is what the framework itself tells of a step."
)
_MILLISECONDS = significant(3, 1e3)
_PERCENT = fixed(0)


def parallel_sections(sources: Sequence[Source]) -> list[Section]:
    """The section; none where every trial had a world size of 1."""
    rows = tuple(row for source in sources for row in _rows(measured_by_asked(source)))
    if not rows:
        return []
    columns = (
        Column("Contender"),
        Column("Asked"),
        Column("Scaling"),
        Column(THROUGHPUT.heading, number=True),
        Column("Of one (interval)", number=True),
        Column("Efficiency, %", number=True),
        Column("Communication, ms/step", number=True),
    )
    table = Table("Throughput and efficiency by world size", columns, rows)
    return [Section("parallel", "Data-parallel training", (Part(table=table),), _INTRO)]


def _rows(measured: Mapping[Asked, Measured]) -> Iterator[tuple[str, ...]]:
    for contender in measured.values():
        if contender["world_size"] > 1:
            compared = list(_compared(contender, measured))
            yield from compared or [(*_named(contender), NOT_KNOWN, *_figures(contender, None))]


def _compared(contender: Measured, measured: Mapping[Asked, Measured]) -> Iterator[tuple[str, ...]]:
    """A row for each scaling in which it has a counterpart of world size 1."""
    batch, size = contender["batch_size"], contender["world_size"]
    for scaling, alone in (("strong", batch), ("weak", batch // size)):
        one = measured.get(contender.but({"world_size": 1, "hosts": 1, "batch_size": alone}))
        if one is not None:
            yield (*_named(contender), scaling, *_figures(contender, one))


def _named(contender: Measured) -> tuple[str, str]:
    return contender.label, contender.setting


def _figures(contender: Measured, one: Measured | None) -> tuple[str, ...]:
    ratio = None if one is None else ratio_of(contender.sample, one.sample)
    share = math.nan if ratio is None else 100 * ratio.estimate / contender["world_size"]
    return (
        THROUGHPUT.show(contender.throughput),
        NOT_KNOWN if ratio is None else times(ratio),
        shown(share, _PERCENT),
        _communication(contender),
    )


def _communication(contender: Measured) -> str:
    told = [record.communication_seconds for record in contender.records]
    known = [seconds for seconds in told if seconds is not None]
    return _MILLISECONDS(median(known)) if known else NOT_KNOWN
