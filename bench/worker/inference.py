"""Measure prediction in a trained session: latency with one image, throughput with a batch.

A call starts with images in host memory and ends with their logits in host memory. There is one
client, which makes its next call when the last one has returned. The first call with each batch
size is not timed.
"""

from __future__ import annotations

from time import perf_counter
from typing import Callable, Optional

import numpy as np
import numpy.typing as npt

from backends.api import Session
from bench.spec.weights import FloatArray
from bench.worker.protocol import Predicted

CALLS = (3, 1000)  # minimum and maximum number of calls, of each kind
# Time for each measurement, unless the minimum number of calls takes longer, and for its part in a
# slice of a round.
SECONDS = 0.25
SLICE_SECONDS = 0.1

# Number of calls that a percentile needs. With fewer, it would be close to the slowest call.
_MIN_CALLS = {95: 20, 99: 100}

Predict = Callable[[FloatArray], FloatArray]


class Prediction:
    """Calls with one image and with a batch, which can be timed in slices.

    Attributes:
        seconds: time that it has spent so far, with making the predictors.
    """

    def __init__(self, session: Session, images: FloatArray, batch_size: int) -> None:
        """Make the fastest predictors and call each once.

        Args:
            session: the trained session.
            images: (n, height, width, channels) test images.
            batch_size: images per call of the throughput measurement.
        """
        start = perf_counter()
        self._images = images
        self._batch_size = batch_size
        self._single = _predictor(session, images[:1])
        self._batched = _predictor(session, images[:batch_size])
        self._compile_seconds = self.seconds = perf_counter() - start
        self._latencies: list[float] = []
        self._times: list[float] = []

    def slices(self, seconds: float = SLICE_SECONDS) -> tuple[tuple[int, float], tuple[int, float]]:
        """Time calls with one image, then calls with a batch.

        Args:
            seconds: approximate duration of each measurement.

        Returns:
            Images and seconds of both.
        """
        start = perf_counter()
        single = timed_calls(self._single, self._images, 1, CALLS, seconds)
        batched = timed_calls(self._batched, self._images, self._batch_size, CALLS, seconds)
        self._latencies += single.tolist()
        self._times += batched.tolist()
        self.seconds += perf_counter() - start
        images = len(batched) * self._batch_size
        return (len(single), float(single.sum())), (images, float(batched.sum()))

    def result(self) -> Predicted:
        """Return the results of all slices together."""
        return Predicted(
            latencies=percentiles(np.array(self._latencies)),
            latency_calls=len(self._latencies),
            batch_size=self._batch_size,
            calls=len(self._times),
            call_seconds=sum(self._times),
            compile_seconds=self._compile_seconds,
            seconds=self.seconds,
        )


def measure(session: Session, images: FloatArray, batch_size: int) -> Predicted:
    """Measure latency and throughput without interruption.

    Args:
        session: the trained session.
        images: (n, height, width, channels) test images.
        batch_size: images per call of the throughput measurement.
    """
    prediction = Prediction(session, images, batch_size)
    prediction.slices(SECONDS)
    return prediction.result()


def _predictor(session: Session, images: FloatArray) -> Predict:
    """Return the session's fastest predictor for this number of images, after a warm-up call."""
    predict = session.predictor(len(images))
    predict(images)
    return predict


def timed_calls(
    predict: Predict,
    images: FloatArray,
    batch_size: int,
    calls: tuple[int, int],
    duration: float = SECONDS,
) -> npt.NDArray[np.float64]:
    """Time calls on successive batches of the images.

    Args:
        predict: the function to time.
        images: (n, ...) images, at least one batch; an incomplete last batch is not used.
        batch_size: images per call.
        calls: the minimum and the maximum number of calls.
        duration: approximate seconds of all calls together, within these numbers.

    Returns:
        (calls,) seconds per call.
    """
    minimum, maximum = calls
    starts = range(0, len(images) - batch_size + 1, batch_size)
    seconds: list[float] = []
    deadline = perf_counter() + duration
    while len(seconds) < maximum and (len(seconds) < minimum or perf_counter() < deadline):
        first = starts[len(seconds) % len(starts)]
        batch = images[first : first + batch_size]
        begin = perf_counter()
        predict(batch)
        seconds.append(perf_counter() - begin)
    return np.array(seconds)


def percentiles(
    seconds: npt.NDArray[np.float64],
) -> tuple[float, Optional[float], Optional[float]]:
    """Compute the 50th, 95th and 99th percentile; None if there are too few calls for it.

    Args:
        seconds: (calls,) seconds per call.
    """
    median = float(np.percentile(seconds, 50))
    p95, p99 = (
        float(np.percentile(seconds, share)) if len(seconds) >= calls else None
        for share, calls in _MIN_CALLS.items()
    )
    return median, p95, p99
