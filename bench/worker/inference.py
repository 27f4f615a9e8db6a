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

LATENCY_CALLS = (20, 1000)  # minimum and maximum number of calls
THROUGHPUT_CALLS = (3, 1000)
SECONDS = 0.25  # time for each measurement, unless the minimum number of calls takes longer

# Number of calls that a percentile needs. With fewer, it would be close to the slowest call.
_MIN_CALLS = {95: 20, 99: 100}

Predict = Callable[[FloatArray], FloatArray]


def measure(session: Session, images: FloatArray, batch_size: int) -> Predicted:
    """Measure latency and throughput.

    Args:
        session: the trained session.
        images: (n, height, width, channels) test images.
        batch_size: images per call of the throughput measurement.
    """
    start = perf_counter()
    single = _predictor(session, images[:1])
    batched = _predictor(session, images[:batch_size])
    compiled = perf_counter()
    latencies = timed_calls(single, images, 1, LATENCY_CALLS)
    batches = timed_calls(batched, images, batch_size, THROUGHPUT_CALLS)
    return Predicted(
        latencies=percentiles(latencies),
        latency_calls=len(latencies),
        batch_size=batch_size,
        calls=len(batches),
        call_seconds=float(batches.sum()),
        compile_seconds=compiled - start,
        seconds=perf_counter() - start,
    )


def _predictor(session: Session, images: FloatArray) -> Predict:
    """Return the session's fastest predictor for this number of images, after a warm-up call."""
    predict = session.predictor(len(images))
    predict(images)
    return predict


def timed_calls(
    predict: Predict, images: FloatArray, batch_size: int, calls: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Time calls on successive batches of the images, for about `SECONDS`.

    Args:
        predict: the function to time.
        images: (n, ...) images, at least one batch; an incomplete last batch is not used.
        batch_size: images per call.
        calls: the minimum and the maximum number of calls.

    Returns:
        (calls,) seconds per call.
    """
    minimum, maximum = calls
    starts = range(0, len(images) - batch_size + 1, batch_size)
    seconds: list[float] = []
    deadline = perf_counter() + SECONDS
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
