"""The Python API's view of a run: its trials, rankings and certificates as DataFrames.

docs/python-api.md documents the columns.
"""

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
    def rankings(self) -> pd.DataFrame:
        """One row per contender of each ranking, in the order of the report."""
        rankings = rankings_of([self._source], self.trials)
        rows = [row for number, each in enumerate(rankings) for row in _rows(number, each)]
        frame = pd.DataFrame(rows, columns=ranking_columns())
        whole = {"rank": "Int64", "train_samples": "Int64"}
        return frame.astype({**whole, "until_accuracy": "float64"})

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
    *("ranking", "title", "contender", "rank"),
    *("ratio_to_first", "ratio_to_first_low", "ratio_to_first_high"),
    *("repeats", "attempted", "equivalence", "framework_version"),
)
_INTERVAL = (f"{THROUGHPUT.key}_low", f"{THROUGHPUT.key}_high")
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
    """Return rank, interval and ratio of a contender, as far as they are known."""
    if place >= len(ranking.timed):
        return {}
    ranks = ranking.family.ranks[place]
    values: dict[str, Any] = {"rank": ranks and ranks.low, "ratio_to_first": 1.0}
    if len(contender.blocks) > 1:
        values |= zip(_INTERVAL, (contender.median.low, contender.median.high), strict=True)
    if place:
        ratio = ranking.family.ratio(place, 0)
        values["ratio_to_first"] = ratio.estimate
        if ratio.is_known:
            values |= {"ratio_to_first_low": ratio.low, "ratio_to_first_high": ratio.high}
    return values


def _spreads(contender: Contender) -> dict[str, float]:
    spreads = ((metric.key, contender[metric]) for metric in METRICS)
    return {
        f"{key}{end}": value
        for key, spread in spreads
        for end, value in (
            ("", spread.median),
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
