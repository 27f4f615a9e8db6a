"""The section that compares contenders with the baselines that a run file names."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bench.statistics.families import holm, ratio_of
from bench.statistics.ratios import Ratio
from reports.analysis.counterparts import Measured, measured_jobs
from reports.analysis.runs import Source
from reports.display import plain
from reports.document import Column, Part, Section, Table
from reports.metrics import THROUGHPUT
from reports.sections.cells import times

_INTRO = (
    "Each contender's throughput as a multiple of its counterpart's: the contender that differs in "
    "the baseline's own values only. A difference is claimed when it is beyond chance after Holm's "
    "correction over the table."
)
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
    return [Section("baselines", "Against the baselines", tuple(parts), _INTRO)] if parts else []


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
        Column("Contender"),
        Column("Setting"),
        Column(THROUGHPUT.heading, number=True),
        Column("Baseline", number=True),
        Column("Ratio (interval)", number=True),
        Column("Verdict"),
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
