"""Explain a trained model: its predictions, their saliency, and the times of single steps.

This happens after all measurements. Saliency is the gradient of a prediction with respect to the
image. The NumPy backend computes it from the contender's trained weights, so frameworks need no
method for it. The contender's certificate shows that both compute the same.
"""

from __future__ import annotations

import zlib
from time import perf_counter

import numpy as np

from backends.api import Session
from backends.numpy.session import input_gradients
from bench.spec.shapes import Node
from bench.spec.training import TrainSpec, epoch_batches, learning_rates
from bench.spec.weights import FloatArray, IntArray
from bench.worker.protocol import Explained

STEP_CALLS = 200
STEP_SECONDS = 1.0
# Seconds. Some backends compile again for a call of one step. If they take longer than this, single
# steps are not timed.
MAX_COMPILE_SECONDS = 10.0


def explain(
    session: Session,
    model: Node,
    train: TrainSpec,
    examples: int,
    images: FloatArray,
    labels: IntArray,
    predicted: IntArray,
    compile_seconds: float,
) -> Explained:
    """Explain a trained model. A part that fails is left out, and the reason is reported.

    Args:
        session: the trained session; this function trains it further.
        model: its model.
        train: its training spec.
        examples: number of training images.
        images: (n, height, width, channels) test images.
        labels: (n,) classes of the test images.
        predicted: (n,) predicted classes of the test images.
        compile_seconds: duration of the compile phase, which single steps may need again.
    """
    began = perf_counter()
    problems: list[str] = []
    positions = first_of_each(labels)
    saliency = b""
    steps: tuple[float, ...] = ()
    try:
        weights = session.weights()
        gradients = input_gradients(model, weights, images[positions], predicted[positions])
        saliency = zlib.compress(shades(gradients).tobytes())
    except Exception as error:  # the measurements are complete, so no error may fail the trial now
        problems.append(f"no saliency: {error}")
    try:
        steps = step_times(session, train, examples, compile_seconds)
    except Exception as error:
        problems.append(f"no times of single steps: {error}")
    return Explained(
        predicted=zlib.compress(predicted.astype(np.uint8).tobytes()),
        examples=tuple(positions.tolist()),
        saliency=saliency,
        step_seconds=steps,
        problems=tuple(problems),
        seconds=perf_counter() - began,
    )


def first_of_each(labels: IntArray) -> IntArray:
    """Return the position of the first image of each class, in the order of the classes.

    Args:
        labels: (n,) class of each image.
    """
    _, positions = np.unique(labels, return_index=True)
    return positions


def shades(gradients: FloatArray) -> IntArray:
    """Convert gradients to shades of grey: the largest magnitude over the channels of each pixel.

    Args:
        gradients: (n, height, width, channels) gradients with respect to images.

    Returns:
        (n, height, width) uint8; 255 is the largest magnitude in an image.
    """
    magnitudes = np.abs(gradients).max(axis=-1)
    largest = magnitudes.max(axis=(1, 2), keepdims=True)
    scale = np.where(largest > 0, largest, 1)
    result: IntArray = np.rint(255 * magnitudes / scale).astype(np.uint8)
    return result


def step_times(
    session: Session, train: TrainSpec, examples: int, compile_seconds: float
) -> tuple[float, ...]:
    """Time single training steps, each in its own call, which waits for the device.

    The first call is not timed, because the backend may compile in it.

    Args:
        session: the trained session; this function trains it further.
        train: its training spec.
        examples: number of training images.
        compile_seconds: duration of the compile phase.

    Returns:
        Seconds per step, of at most `STEP_CALLS` steps.

    Raises:
        TimeoutError: compiling again would take too long.
    """
    if session.agree(compile_seconds > MAX_COMPILE_SECONDS):
        raise TimeoutError(f"compiling for them would take about {compile_seconds:.0f} s")
    batches = epoch_batches(examples, train, 0)[:STEP_CALLS]
    rates = learning_rates(train, len(batches))
    session.compile(1, batches.shape[1])
    session.train(batches[:1], rates[:1])
    seconds: list[float] = []
    deadline = perf_counter() + STEP_SECONDS
    for step in range(len(batches)):
        if session.agree(perf_counter() > deadline):
            break
        start = perf_counter()
        session.train(batches[step : step + 1], rates[step : step + 1])
        seconds.append(perf_counter() - start)
    return tuple(seconds)
