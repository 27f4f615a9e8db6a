"""Contenders: what a ranking compares, each with the metrics of its trials that ended well."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.records.trial import TrialRecord
from bench.statistics.families import Sample
from bench.statistics.medians import interval_factor
from reports.analysis.trials import CONTENDER, contender_frame, metric_frame
from reports.metrics import METRIC_KEYS, METRICS, THROUGHPUT, Metric


@dataclass(frozen=True)
class Curve:
    """Test accuracy after each epoch, its mean loss, and the training seconds up to there."""

    seconds: tuple[float, ...]
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def epochs(self) -> range:
        """The epochs, counted from 1."""
        return range(1, len(self.seconds) + 1)


@dataclass(frozen=True)
class Spread:
    """A metric over a contender's trials; NaN where it is unknown.

    Attributes:
        value: the median. The throughput of a ranked contender is the estimate that the ranking is
            ordered by.
        minimum: the smallest value of a trial.
        maximum: the largest value of a trial.
    """

    value: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Contender:
    """What a ranking compares, with the results of its trials that ended well.

    Attributes:
        label: distinguishes it from the others of its ranking.
        coordinates: its value of each column in `reports.analysis.trials.CONTENDER`.
        repeats: number of trials that ended well; every result is over these.
        attempted: number of trials that were requested.
        spreads: spread of each metric over the trials, by the metric's key.
        repeat_of: the repeat of each trial; contenders of one run share its repeats.
        values: each metric's value in each trial, by its key; NaN where it is unknown.
        curve: medians over the trials that trained all epochs.
        trial_curves: learning curve of each of these.
        records: of the trials.
    """

    label: str
    coordinates: Mapping[str, Any]
    repeats: int
    attempted: int
    spreads: Mapping[str, Spread]
    repeat_of: tuple[int, ...]
    values: Mapping[str, Sequence[float]]
    curve: Curve
    trial_curves: tuple[Curve, ...]
    records: tuple[TrialRecord, ...]

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return str(self.coordinates["backend"])

    @property
    def mode(self) -> str:
        """Mode of the backend."""
        return str(self.coordinates["mode"])

    @property
    def run(self) -> str:
        """Name of the run."""
        return str(self.coordinates["run"])

    @property
    def equivalence(self) -> str:
        """Whether its certificate of equal work passed."""
        return str(self.coordinates["equivalence"])

    @property
    def is_comparable(self) -> bool:
        """Whether it may be ranked: its certificate did not fail."""
        return self.equivalence != "failed"

    @property
    def blocks(self) -> Mapping[int, float]:
        """Throughput of each trial where it is known, by the trial's repeat."""
        return self.sample(THROUGHPUT).blocks

    @property
    def throughputs(self) -> tuple[float, ...]:
        """Throughput of each trial where it is known."""
        return tuple(self.blocks.values())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the throughput; NaN unless it is known in two trials."""
        throughput, reach = self[THROUGHPUT].value, interval_factor(self.throughputs)
        return throughput / reach, throughput * reach

    def sample(self, metric: Metric) -> Sample:
        """Return the metric of each trial, by its repeat, where it is positive and finite."""
        pairs = zip(self.repeat_of, self.values[metric.key], strict=True)
        return Sample(self.run, {block: value for block, value in pairs if 0 < value < math.inf})

    def known(self, metric: Metric) -> int:
        """Return the number of trials in which the metric is known."""
        return sum(not math.isnan(value) for value in self.values[metric.key])

    def __getitem__(self, metric: Metric) -> Spread:
        """Return the metric's spread over the trials."""
        return self.spreads[metric.key]


def contenders_of(
    trials: pd.DataFrame, records: Sequence[TrialRecord]
) -> Iterator[tuple[int, Contender]]:
    """Yield each contender with the number of its ranking, the fastest first.

    Args:
        trials: as `grouped` returns them.
        records: the records of the trials, in the same order.
    """
    metrics = metric_frame(trials)
    ended_well = trials[trials["outcome"] == "ok"]
    positions = ended_well.groupby("contender").indices
    places, values = ended_well.index.to_numpy(), metrics.loc[ended_well.index].to_numpy()
    ordered = contender_frame(trials, metrics).sort_values(
        [f"{THROUGHPUT.key} median", "label"], ascending=[False, True], na_position="last"
    )
    # Dictionaries, because pandas is slow at reading single cells.
    for number, row in zip(ordered.index, ordered.to_dict("records"), strict=True):
        own = positions[number]
        yield row["ranking"], _contender(row, [records[at] for at in places[own]], values[own])


def _contender(
    row: Mapping[Any, Any], records: Sequence[TrialRecord], values: NDArray[np.float64]
) -> Contender:
    """Return the contender of a row, with its records and (records, metrics) values."""
    curves = tuple(curve_of(record) for record in records if record.test_accuracy is not None)
    return Contender(
        label=row["label"],
        coordinates={name: row[name] for name in CONTENDER},
        repeats=row["repeats"],
        attempted=row["attempted"],
        spreads={metric.key: _spread(row, metric) for metric in METRICS},
        repeat_of=tuple(record.repeat for record in records),
        values=dict(zip(METRIC_KEYS, values.T.tolist(), strict=True)),
        curve=median_curve(curves),
        trial_curves=curves,
        records=tuple(records),
    )


def _spread(row: Mapping[Any, Any], metric: Metric) -> Spread:
    return Spread(*(row[f"{metric.key} {which}"] for which in ("median", "min", "max")))


def curve_of(record: TrialRecord) -> Curve:
    """Return the learning curve of one trial."""
    epochs = record.per_epoch
    losses = [epoch.mean_loss for epoch in epochs]
    return Curve(
        seconds=tuple(accumulate([epoch.seconds for epoch in epochs])),
        accuracies=tuple([epoch.test_accuracy for epoch in epochs]),
        losses=tuple([math.nan if loss is None else loss for loss in losses]),
    )


def median_curve(curves: Sequence[Curve]) -> Curve:
    """Return the medians over the curves, up to the end of the shortest."""
    return Curve(
        seconds=_medians([curve.seconds for curve in curves]),
        accuracies=_medians([curve.accuracies for curve in curves]),
        losses=_medians([curve.losses for curve in curves]),
    )


def _medians(series: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(median(values) for values in zip(*series, strict=False))
