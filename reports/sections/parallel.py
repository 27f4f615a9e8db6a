"""The section on data-parallel training: what more processes or devices gain."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from bench.statistics.families import ratio_of
from reports.analysis.counterparts import Key, Measured, measured_jobs
from reports.display import NOT_KNOWN, fixed, shown, significant
from reports.document import Column, Part, Section, Table
from reports.metrics import THROUGHPUT
from reports.sections.cells import times

_INTRO = (
    "Against one process or device with as many threads: strong scaling keeps the batch of a step, "
    "weak scaling keeps the part of it that each has. Efficiency is the ratio by the world size: "
    "100 % is a gain in proportion. Communication is what the framework itself reports for a step."
)
_MILLISECONDS = significant(3, 1e3)
_PERCENT = fixed(0)


def parallel_sections(trials: pd.DataFrame) -> list[Section]:
    """Return the section; none if every trial had a world size of 1."""
    of_runs = [own for _, own in trials.groupby("run", sort=False) if own["world_size"].max() > 1]
    rows = tuple(row for own in of_runs for row in _rows(measured_jobs(own)))
    if not rows:
        return []
    columns = (
        Column("Contender"),
        Column("Setting"),
        Column("Scaling"),
        Column(THROUGHPUT.heading, number=True),
        Column("Of one (interval)", number=True),
        Column("Efficiency, %", number=True),
        Column("Communication, ms/step", number=True),
    )
    table = Table("Throughput and efficiency by world size", columns, rows)
    return [Section("parallel", "Data-parallel training", (Part(table=table),), _INTRO)]


def _rows(measured: Mapping[Key, Measured]) -> Iterator[tuple[str, ...]]:
    for contender in measured.values():
        if contender["world_size"] > 1:
            compared = list(_compared(contender, measured))
            yield from compared or [(*_named(contender), NOT_KNOWN, *_figures(contender, None))]


def _compared(contender: Measured, measured: Mapping[Key, Measured]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each scaling in which it has a counterpart of world size 1."""
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
        shown(contender.communication, _MILLISECONDS),
    )
