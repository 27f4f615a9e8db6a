"""Sections that compare contenders with counterparts: baselines, and data-parallel training."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bench.statistics.families import holm, ratio_of
from bench.statistics.ratios import Ratio
from reports.analysis.counterparts import Key, Measured, measured_jobs
from reports.analysis.runs import Source
from reports.display import NOT_KNOWN, fixed, plain, shown, significant
from reports.document import Part, Section, Table, numbers, texts
from reports.metrics import THROUGHPUT
from reports.sections.cells import times

_BASELINES = (
    "Each contender's throughput as a multiple of its counterpart's: the contender that differs in "
    "the baseline's own values only. A difference is claimed when it is beyond chance after Holm's "
    "correction over the table."
)
_PARALLEL = (
    "Against one process or device with as many threads: strong scaling keeps the batch of a step, "
    "weak scaling keeps the part of it that each has. Efficiency is the ratio by the world size: "
    "100 % is a gain in proportion. Communication is what the framework itself reports for a step."
)
_MILLISECONDS = significant(3, 1e3)
_PERCENT = fixed(0)
_WORDS = {"higher": "faster", "lower": "slower", "not known": "too few trials"}


class Pair(NamedTuple):
    """A contender and its counterpart of the baseline."""

    contender: Measured
    counterpart: Measured
    ratio: Ratio


def baseline_sections(sources: Sequence[Source], trials: pd.DataFrame) -> list[Section]:
    """Return the section; none if no run names a baseline that has a counterpart."""
    parts = [
        Part(heading=_heading(name, source, len(sources)), table=_table(name, found))
        for source in sources
        for name, selector in source.run.manifest.baselines.items()
        if (found := pairs(measured_jobs(trials[trials["run"] == source.name]), selector))
    ]
    return (
        [Section("baselines", "Against the baselines", tuple(parts), _BASELINES)] if parts else []
    )


def pairs(measured: Mapping[Any, Measured], selector: Mapping[str, Any]) -> list[Pair]:
    """Return each contender that does not match the baseline and has a counterpart that does."""
    found = []
    for contender in measured.values():
        counterpart = measured.get(contender.but(selector))
        if counterpart is not None and counterpart is not contender:
            ratio = ratio_of(contender.sample, counterpart.sample)
            found.append(Pair(contender, counterpart, ratio))
    return found


def _heading(name: str, source: Source, runs: int) -> str:
    return plain(f"{name} ({source.name})" if runs > 1 else name)


def _table(name: str, found: Sequence[Pair]) -> Table:
    columns = (
        *texts("Contender", "Setting"),
        *numbers(THROUGHPUT.heading, "Baseline", "Ratio (interval)"),
        *texts("Verdict"),
    )
    known = [pair.ratio.p_value for pair in found if pair.ratio.is_known]
    corrected = iter(holm(known))
    rows = []
    for pair in found:
        p_value = next(corrected) if pair.ratio.is_known else None
        verdict = pair.ratio.verdict(p_value=p_value)
        rows.append(
            (
                pair.contender.label,
                pair.contender.setting,
                THROUGHPUT.show(pair.contender.throughput),
                THROUGHPUT.show(pair.counterpart.throughput),
                times(pair.ratio),
                _WORDS.get(verdict, verdict),
            )
        )
    return Table(f"Throughput against {plain(name)}", columns, tuple(rows))


def parallel_sections(trials: pd.DataFrame) -> list[Section]:
    """Return the section; none if every trial had a world size of 1."""
    of_runs = [own for _, own in trials.groupby("run", sort=False) if own["world_size"].max() > 1]
    rows = tuple(row for own in of_runs for row in _rows(measured_jobs(own)))
    if not rows:
        return []
    columns = (
        *texts("Contender", "Setting", "Scaling"),
        *numbers(
            THROUGHPUT.heading, "Of one (interval)", "Efficiency, %", "Communication, ms/step"
        ),
    )
    table = Table("Throughput and efficiency by world size", columns, rows)
    return [Section("parallel", "Data-parallel training", (Part(table=table),), _PARALLEL)]


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
