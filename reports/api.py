"""The Python API's view of a run: its trials, rankings and certificates as DataFrames.

docs/python-api.md documents the columns.
"""

import math
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.spec.job import Job
from bench.verification.certificate import Certificate
from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking, rankings_of
from reports.analysis.runs import Source, read_sources
from reports.analysis.trials import (
    CONTENDER_COORDINATES,
    COORDINATES,
    RANKING,
    coordinates_left_by,
    trial_frame,
)
from reports.analysis.verdicts import Pair, pairs_of
from reports.metrics import METRICS, THROUGHPUT

# A certificate is valid for every batch size, number of threads and so on.
_CERTIFIED = coordinates_left_by(Job.certified)


class Run:
    """A run, with its results as DataFrames.

    Attributes:
        folder: the run's folder.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.folder = source.run.folder

    def __repr__(self) -> str:
        """Name the run's folder and its number of trials."""
        return f"<Run {str(self.folder)!r}: {len(self._source.run.trials):,} trials>"

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial, with the columns of results.csv."""
        return trial_frame([self._source])

    @cached_property
    def _rankings(self) -> list[Ranking]:
        return rankings_of([self._source], self.trials)

    @cached_property
    def rankings(self) -> pd.DataFrame:
        """One row per contender of each ranking, in the order of the report."""
        rows = [row for number, each in enumerate(self._rankings) for row in _rows(number, each)]
        frame = pd.DataFrame(rows, columns=ranking_columns())
        whole = dict.fromkeys(("rank_low", "rank_high", "train_samples"), "Int64")
        return frame.astype({**whole, "until_accuracy": "float64"})

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row per pair of contenders of each ranking, with the verdict."""
        rows = [
            (number, ranking.title, *_pair(pair))
            for number, ranking in enumerate(self._rankings)
            for pair in pairs_of(ranking)
        ]
        return pd.DataFrame(rows, columns=PAIR_COLUMNS).astype({"repeats_needed": "Int64"})

    @cached_property
    def certificates(self) -> pd.DataFrame:
        """One row per check of each certificate; one without a check if none could be done."""
        rows = [row for each in self._source.run.certificates for row in _checks(each)]
        numbers = dict.fromkeys(("difference", "tolerance"), "float64")
        return pd.DataFrame(rows, columns=CERTIFICATE_COLUMNS).astype(numbers)

    def write_report(self, output: Path | None = None, formats: Sequence[str] = ()) -> list[Path]:
        """Write the report of the run; see `reports.write_report`."""
        from reports import write_report

        return write_report([self.folder], output, formats)


def read(folder: str | os.PathLike[str]) -> Run:
    """Read a run; see `bench.load`."""
    (source,) = read_sources([Path(folder)])
    return Run(source)


_CONTENDER = (
    *("ranking", "title", "contender", "rank_low", "rank_high"),
    *("ratio_to_first", "ratio_to_first_low", "ratio_to_first_high"),
    *("repeats", "attempted", "equivalence", "framework_version"),
)
_INTERVAL = (f"{THROUGHPUT.key}_low", f"{THROUGHPUT.key}_high")
PAIR_COLUMNS = [
    *("ranking", "title", "one", "other"),
    *("ratio", "low", "high", "verdict", "repeats_needed"),
]
CERTIFICATE_COLUMNS = [
    *(name for name in COORDINATES if name in _CERTIFIED),
    *("framework_version", "passed", "error", "seconds"),
    *("check", "check_passed", "difference", "tolerance", "where"),
]


def ranking_columns() -> list[str]:
    """Return the columns of `Run.rankings`."""
    spreads = [f"{metric.key}{end}" for metric in METRICS for end in ("", "_min", "_max")]
    return [*_CONTENDER, *CONTENDER_COORDINATES, *RANKING, *_INTERVAL, *spreads]


def _rows(number: int, ranking: Ranking) -> Iterator[dict[str, Any]]:
    for place, contender in enumerate(ranking.measured):
        yield {
            **contender.coordinates,
            "ranking": number,
            "title": ranking.title,
            "contender": contender.label,
            "repeats": contender.repeats,
            "attempted": contender.attempted,
            **_compared(ranking, place, contender),
            **_spreads(contender),
        }


def _compared(ranking: Ranking, place: int, contender: Contender) -> dict[str, Any]:
    """Return ranks, interval and ratio of a contender, as far as they are known."""
    if place >= len(ranking.timed):
        return {}
    ranks = ranking.family.ranks[place]
    values: dict[str, Any] = {"ratio_to_first": 1.0}
    if ranks is not None:
        values |= {"rank_low": ranks.low, "rank_high": ranks.high}
    if len(contender.blocks) > 1:
        values |= zip(_INTERVAL, contender.interval, strict=True)
    if place:
        ratio = ranking.family.ratio(place, 0)
        values["ratio_to_first"] = ratio.estimate
        if ratio.is_known:
            values |= {"ratio_to_first_low": ratio.low, "ratio_to_first_high": ratio.high}
    return values


def _pair(pair: Pair) -> tuple[Any, ...]:
    ends = (pair.ratio.low, pair.ratio.high) if pair.ratio.is_known else (math.nan, math.nan)
    return pair.one, pair.other, pair.ratio.estimate, *ends, pair.verdict, pair.repeats_needed


def _spreads(contender: Contender) -> dict[str, float]:
    spreads = ((metric.key, contender[metric]) for metric in METRICS)
    return {
        f"{key}{end}": value
        for key, spread in spreads
        for end, value in (
            ("", spread.value),
            ("_min", spread.minimum),
            ("_max", spread.maximum),
        )
    }


def _checks(certificate: Certificate) -> Iterator[dict[str, Any]]:
    common = {name: getattr(certificate.job, name) for name in _CERTIFIED} | {
        "framework_version": certificate.framework_version,
        "passed": certificate.passed,
        "error": certificate.error,
        "seconds": certificate.seconds,
    }
    common["environment"] = "; ".join(certificate.job.environment)
    for check in certificate.checks:
        yield common | {
            "check": check.name,
            "check_passed": check.passed,
            "difference": check.difference,
            "tolerance": check.tolerance,
            "where": check.where,
        }
    if not certificate.checks:
        yield common
