"""Contenders: what a ranking compares, each with its metrics over the trials that ended well."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.records.trial import TrialRecord
from bench.statistics.families import Sample
from bench.statistics.medians import Median, median_interval
from reports.analysis.learning_curves import Curve, curve_of, median_curve
from reports.metrics import METRIC_KEYS, METRICS, THROUGHPUT, Metric


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
        spreads: by the metric's key.
        run: trials of one run share its blocks.
        repeat_of: the repeat of each trial.
        values: by the metric's key, its value in each trial; not a number where it is not known.
        curve: medians over the trials.
        trial_curves: of each trial.
        records: of the trials.
    """

    label: str
    backend: str
    mode: str
    repeats: int
    attempted: int
    equivalence: str
    spreads: Mapping[str, Spread]
    run: str
    repeat_of: tuple[int, ...]
    values: Mapping[str, Sequence[float]]
    curve: Curve
    trial_curves: tuple[Curve, ...]
    records: tuple[TrialRecord, ...] = ()

    @property
    def is_comparable(self) -> bool:
        """Whether it may be ranked: it was not shown to do other work than the spec states."""
        return self.equivalence != "failed"

    @property
    def blocks(self) -> Mapping[int, float]:
        """The throughput of each trial, where known, by its repeat."""
        return self.sample(THROUGHPUT).blocks

    @property
    def throughputs(self) -> tuple[float, ...]:
        """Of each trial, where known."""
        return tuple(self.blocks.values())

    @property
    def median(self) -> Median:
        """The median throughput with its 95 % interval; there are throughputs."""
        return median_interval(self.throughputs)

    def sample(self, metric: Metric) -> Sample:
        """The metric of each trial where it is a positive number, by its repeat."""
        pairs = zip(self.repeat_of, self.values[metric.key], strict=True)
        return Sample(self.run, {block: value for block, value in pairs if 0 < value < math.inf})

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
    positions = ended_well.groupby("contender").indices
    places, values = ended_well.index.to_numpy(), ended_well[METRIC_KEYS].to_numpy()
    ordered = contenders.sort_values(
        [f"{THROUGHPUT.key} median", "label"], ascending=[False, True], na_position="last"
    )
    # Plain dictionaries, since pandas takes its time for each cell of a row.
    for number, row in zip(ordered.index, ordered.to_dict("records"), strict=True):
        own = positions[number]
        yield row["ranking"], _contender(row, [records[at] for at in places[own]], values[own])


def _contender(
    row: Mapping[Any, Any], records: Sequence[TrialRecord], values: NDArray[np.float64]
) -> Contender:
    """The contender of a row, with its records and (records, metrics) values."""
    curves = tuple(curve_of(record) for record in records)
    return Contender(
        label=row["label"],
        backend=row["backend"],
        mode=row["mode"],
        repeats=row["repeats"],
        attempted=row["attempted"],
        equivalence=row["equivalence"],
        spreads={metric.key: _spread(row, metric) for metric in METRICS},
        run=row["run"],
        repeat_of=tuple(record.repeat for record in records),
        values=dict(zip(METRIC_KEYS, values.T.tolist(), strict=True)),
        curve=median_curve(curves),
        trial_curves=curves,
        records=tuple(records),
    )


def _spread(row: Mapping[Any, Any], metric: Metric) -> Spread:
    return Spread(*(row[f"{metric.key} {which}"] for which in ("median", "min", "max")))
