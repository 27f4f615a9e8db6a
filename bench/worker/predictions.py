"""What a trained model answers, and what its answers hang on: told once all is measured.

The gradients by the image are those of the NumPy backend with the contender's trained weights: no
framework needs another method for them, and a certificate has shown that both compute the same.
"""

from __future__ import annotations

import zlib
from time import perf_counter

import numpy as np

from backends.api import Session
from backends.numpy.saliency import input_gradients
from bench.spec.shapes import Node
from bench.spec.training import TrainSpec, epoch_batches, learning_rates
from bench.spec.weights import FloatArray, IntArray
from bench.worker.protocol import Explained

STEP_CALLS = 200
STEP_SECONDS = 1.0
LONGEST_COMPILATION = 10.0  # seconds: some backends compile anew for a call of one step


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
    """Look into a trained session. What cannot be told is left out, and why is said.

    Args:
        session: trained; it is trained further.
        model: that it trained.
        train: how.
        examples: how many it was trained on.
        images: (n, height, width, channels), the test images.
        labels: (n,) theirs.
        predicted: (n,), the class of the largest logit of each.
        compile_seconds: what its compilation took: single steps may need it once more.
    """
    began = perf_counter()
    problems: list[str] = []
    shown = first_of_each(labels)
    saliency = b""
    steps: tuple[float, ...] = ()
    try:
        gradients = input_gradients(model, session.weights(), images[shown], predicted[shown])
        saliency = zlib.compress(shades(gradients).tobytes())
    except Exception as error:  # all is measured: nothing that happens here may cost the trial
        problems.append(f"no saliency: {error}")
    try:
        steps = step_times(session, train, examples, compile_seconds)
    except Exception as error:
        problems.append(f"no times of steps: {error}")
    return Explained(
        predicted=zlib.compress(predicted.astype(np.uint8).tobytes()),
        examples=tuple(shown.tolist()),
        saliency=saliency,
        step_seconds=steps,
        problems=tuple(problems),
        seconds=perf_counter() - began,
    )


def first_of_each(labels: IntArray) -> IntArray:
    """The position of the first image of each class, in the order of the classes."""
    _, first = np.unique(labels, return_index=True)
    return first


def shades(gradients: FloatArray) -> IntArray:
    """The size of the gradients, largest over the channels: (n, height, width) uint8.

    255 is each image's largest.
    """
    sizes = np.abs(gradients).max(axis=-1)
    largest = sizes.max(axis=(1, 2), keepdims=True)
    shaded: IntArray = np.rint(255 * sizes / np.where(largest > 0, largest, 1)).astype(np.uint8)
    return shaded


def step_times(
    session: Session, train: TrainSpec, examples: int, compile_seconds: float
) -> tuple[float, ...]:
    """Seconds of single training steps, each a call of its own that waits for the device.

    Every call has the same shape, and the first, which may compile for it, does not count.

    Args:
        session: trained; it is trained further.
        train: how.
        examples: how many it is trained on.
        compile_seconds: what its compilation took.

    Raises:
        TimeoutError: to compile once more would take too long.
    """
    if session.agree(compile_seconds > LONGEST_COMPILATION):
        raise TimeoutError(f"to compile for them would take about {compile_seconds:.0f} s")
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
