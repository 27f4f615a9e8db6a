"""Measure prediction in a trained session: latency with one image, throughput with many.

A call begins with an image in the host's memory and ends with its logits there. Calls follow one
another, as from one client; each form was called once before, off the clock.
"""

from __future__ import annotations

from time import perf_counter
from typing import Callable, Optional

import numpy as np
import numpy.typing as npt

from backends.api import Session
from bench.spec.weights import FloatArray
from bench.worker.protocol import Predicted

LATENCY_CALLS = (20, 1000)  # at least, and at most
THROUGHPUT_CALLS = (3, 1000)
SECONDS = 0.25  # for each of both, unless the least number of calls takes longer

# With fewer calls the percentile would be the slowest of a handful.
_LEAST_CALLS = {95: 20, 99: 100}

Predict = Callable[[FloatArray], FloatArray]


def measure(session: Session, images: FloatArray, batch_size: int) -> Predicted:
    """Time calls with one image and calls with `batch_size`, over (n, height, width, channels)."""
    start = perf_counter()
    single, many = _ready(session, images[:1]), _ready(session, images[:batch_size])
    compiled = perf_counter()
    latencies = timed_calls(single, images, 1, LATENCY_CALLS)
    large = timed_calls(many, images, batch_size, THROUGHPUT_CALLS)
    return Predicted(
        latencies=percentiles(latencies),
        latency_calls=len(latencies),
        batch_size=batch_size,
        calls=len(large),
        call_seconds=float(large.sum()),
        compile_seconds=compiled - start,
        seconds=perf_counter() - start,
    )


def _ready(session: Session, images: FloatArray) -> Predict:
    """The session's fastest way to predict as many images as these, warm."""
    predict = session.predictor(len(images))
    predict(images)
    return predict


def timed_calls(
    predict: Predict, images: FloatArray, batch_size: int, calls: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """The seconds of each call, (calls,), on one batch of the images after the other.

    Args:
        predict: what is timed.
        images: (n, ...), at least one batch.
        batch_size: of each call.
        calls: the least number, and the most.
    """
    least, most = calls
    starts = range(0, len(images) - batch_size + 1, batch_size)
    seconds: list[float] = []
    deadline = perf_counter() + SECONDS
    while len(seconds) < most and (len(seconds) < least or perf_counter() < deadline):
        first = starts[len(seconds) % len(starts)]
        batch = images[first : first + batch_size]
        begin = perf_counter()
        predict(batch)
        seconds.append(perf_counter() - begin)
    return np.array(seconds)


def percentiles(
    seconds: npt.NDArray[np.float64],
) -> tuple[float, Optional[float], Optional[float]]:
    """The 50th, 95th and 99th percentile; None where the calls are too few to have one."""
    half = float(np.percentile(seconds, 50))
    most, nearly_all = (
        float(np.percentile(seconds, share)) if len(seconds) >= _LEAST_CALLS[share] else None
        for share in (95, 99)
    )
    return half, most, nearly_all
