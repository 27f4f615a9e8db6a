"""Contenders: what a ranking compares, each with its metrics over the trials that ended well."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.records import TrialRecord
from reports.learning import Curve, curve_of, median_curve
from reports.metrics import METRICS, THROUGHPUT, Metric


@dataclass(frozen=True)
class Spread:
    """A metric over a contender's trials; each not a number where it is not known."""

    median: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Contender:
    """One thing that was measured.

    Attributes:
        label: tells it from the others of its ranking.
        repeats: trials that ended well; every number is over these.
        attempted: trials that were asked for alike.
        equivalence: whether it was shown to do the work that the spec states.
        relative: throughput as a share of the fastest's; not a number where it is not known.
        spreads: by the metric's key.
        throughputs: of each trial, where known.
        curve: medians over the trials.
        trial_curves: of each trial.
    """

    label: str
    backend: str
    mode: str
    repeats: int
    attempted: int
    equivalence: str
    relative: float
    spreads: Mapping[str, Spread]
    throughputs: tuple[float, ...]
    curve: Curve
    trial_curves: tuple[Curve, ...]

    @property
    def is_comparable(self) -> bool:
        """Whether it may be ranked: it was not shown to do other work than the spec states."""
        return self.equivalence != "failed"

    def __getitem__(self, metric: Metric) -> Spread:
        """The metric's spread over the trials."""
        return self.spreads[metric.key]


def contenders_of(
    contenders: pd.DataFrame, trials: pd.DataFrame, records: Sequence[TrialRecord]
) -> Iterator[tuple[int, Contender]]:
    """Each contender with the number of its ranking, the fastest first.

    Args:
        contenders: as `contender_frame` returns them.
        trials: as `grouped` returns them.
        records: those that the rows of `trials` were made of, in the same order.
    """
    ended_well = trials[trials["outcome"] == "ok"]
    positions = ended_well.groupby("contender").groups
    ordered = contenders.sort_values(
        [f"{THROUGHPUT.key} median", "label"], ascending=[False, True], na_position="last"
    )
    for number, row in ordered.iterrows():
        yield row["ranking"], _contender(row, [records[place] for place in positions[number]])


def _contender(row: Any, records: Sequence[TrialRecord]) -> Contender:
    curves = tuple(curve_of(record) for record in records)
    throughputs = [THROUGHPUT.of(record) for record in records]
    return Contender(
        label=row["label"],
        backend=row["backend"],
        mode=row["mode"],
        repeats=row["repeats"],
        attempted=row["attempted"],
        equivalence=row["equivalence"],
        relative=row["relative"],
        spreads={metric.key: _spread(row, metric) for metric in METRICS},
        throughputs=tuple(value for value in throughputs if value is not None),
        curve=median_curve(curves),
        trial_curves=curves,
    )


def _spread(row: Any, metric: Metric) -> Spread:
    return Spread(*(row[f"{metric.key} {which}"] for which in ("median", "min", "max")))
