"""Learning curves: test accuracy and loss over epochs and over the seconds spent training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from bench.records.trial import TrialRecord


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


def curve_of(record: TrialRecord) -> Curve:
    """The curve of one trial."""
    epochs = record.per_epoch
    losses = [epoch.mean_loss for epoch in epochs]
    return Curve(
        seconds=tuple(accumulate([epoch.seconds for epoch in epochs])),
        accuracies=tuple([epoch.test_accuracy for epoch in epochs]),
        losses=tuple([math.nan if loss is None else loss for loss in losses]),
    )


def median_curve(curves: Sequence[Curve]) -> Curve:
    """The medians over the curves, as far as the shortest goes."""
    return Curve(
        seconds=_medians([curve.seconds for curve in curves]),
        accuracies=_medians([curve.accuracies for curve in curves]),
        losses=_medians([curve.losses for curve in curves]),
    )


def _medians(series: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(median(values) for values in zip(*series, strict=False))
