"""Train and evaluate one model, and time each phase."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from backends.api import Backend, Device, Session, Unsupported, Workload
from backends.native import NativeStart, native_start
from bench.data.decoded import Dataset, open_decoded
from bench.spec.shapes import Node, resolve
from bench.spec.training import epoch_batches, learning_rates, scale_pixels
from bench.spec.weights import FloatArray, IntArray, initial_weights
from bench.worker.inference import measure
from bench.worker.predictions import explain, step_times
from bench.worker.process import age, peak_memory
from bench.worker.protocol import (
    Emit,
    EpochEnded,
    Failed,
    Finished,
    FirstStep,
    NativeSettings,
    PhaseBegan,
    PhaseEnded,
    TrainTask,
)
from bench.worker.usage import read_usage, usage_since


class Split(NamedTuple):
    """A part of a data set.

    Attributes:
        images: (n, height, width, channels) float32, scaled.
        labels: (n,) classes.
    """

    images: FloatArray
    labels: IntArray


@contextmanager
def phase(name: str, emit: Emit) -> Iterator[None]:
    """Time the block, and emit an event at its start and its end."""
    emit(PhaseBegan(name))
    start = perf_counter()
    yield
    emit(PhaseEnded(name, perf_counter() - start))


class Prepared(NamedTuple):
    """What a trial trains and is tested with.

    Attributes:
        session: of the backend, not yet compiled.
        model: the resolved model.
        test: the test images.
        examples: number of training images.
    """

    session: Session
    model: Node
    test: Split
    examples: int


def train(task: TrainTask, backend: Backend, emit: Emit) -> None:
    """Train, evaluate and measure inference. A loss that is not finite ends the task as diverged.

    Args:
        task: the task.
        backend: the backend.
        emit: called with each event.
    """
    session, model, test, examples = prepare(task, backend, emit)
    batches = epoch_batches(examples, task.train, 0)
    began = perf_counter()
    with phase("compile", emit):
        session.compile(*batches.shape)
        if task.is_recorded:
            session.predict(padded(test.images, 0, task.evaluation_batch))
    compile_seconds = perf_counter() - began
    predicted = _epochs(session, task, examples, test, emit)
    if predicted is None:
        return
    peaks = peak_memory(), session.device_memory(), session.communication_seconds()
    if task.is_recorded:
        emit(PhaseBegan("inference"))
        emit(measure(session, test.images, min(task.evaluation_batch, len(test.images))))
    emit(Finished(*peaks))
    if task.explain and task.is_recorded:
        emit(explain(session, model, task.train, examples, *test, predicted, compile_seconds))
    elif task.explain:  # the steps that rank 0 times need every process
        step_times(session, task.train, examples, compile_seconds)


def prepare(task: TrainTask, backend: Backend, emit: Emit) -> Prepared:
    """Read the data and build the session, each as a phase.

    Args:
        task: the task.
        backend: the backend.
        emit: called with each event.
    """
    device = find_device(backend, task.job.device)
    with phase("data", emit):
        data = open_decoded(task.data)
        images, labels = _training_examples(data, task)
        test = Split(_scaled(data.test_images, data), data.test_labels)
    start = _start(task, backend, resolve(task.model, data.input_shape))
    emit(NativeSettings(start.settings))
    with phase("build", emit):
        session = backend.session(
            Workload(
                model=start.model,
                optimizer=start.optimizer,
                weights=start.weights,
                images=images,
                labels=labels,
                device=device,
                mode=task.job.mode,
                precision=task.job.precision,
                seed=task.seed,
                input=task.job.input,
                world_size=task.job.world_size,
            )
        )
    # The session has its own copy of the images, and the peak memory should not contain both: they
    # are freed when this function returns.
    return Prepared(session, start.model, test, len(labels))


def find_device(backend: Backend, name: str) -> Device:
    """Return the backend's device of that name.

    Raises:
        Unsupported: the framework does not see the device.
    """
    devices = {device.name: device for device in backend.devices()}
    if name not in devices:
        raise Unsupported(f"device {name}: the framework sees {', '.join(devices) or 'none'}")
    return devices[name]


def _training_examples(data: Dataset, task: TrainTask) -> tuple[npt.NDArray[Any], IntArray]:
    """Return the training images and labels. Images are pixels for a pipeline, scaled otherwise."""
    pixels = data.train_images[: task.train_samples]
    labels = data.train_labels[: task.train_samples].astype(np.int32)
    if task.job.input == "pipeline":
        return pixels.reshape(-1, *data.input_shape), labels
    return _scaled(pixels, data), labels


def _scaled(pixels: IntArray, data: Dataset) -> FloatArray:
    """Scale pixels, and give them the shape of images."""
    return scale_pixels(pixels).reshape(-1, *data.input_shape)


def _start(task: TrainTask, backend: Backend, model: Node) -> NativeStart:
    """Return model, optimizer and weights: the spec's or, in the native arm, the framework's."""
    weights = initial_weights(model, task.seed)
    optimizer = task.optimizer
    if task.job.arm == "controlled":
        return NativeStart(model, optimizer, weights, {})
    defaults = backend.native_defaults(task.seed)
    if defaults is None:
        raise Unsupported("arm native: the framework has no defaults, so there is no native arm")
    return native_start(model, optimizer, weights, defaults)


def _epochs(
    session: Session, task: TrainTask, examples: int, test: Split, emit: Emit
) -> Optional[IntArray]:
    """Train all epochs, or until the requested accuracy is reached.

    Returns:
        (n,) predicted classes of the test images, or None if training diverged.
    """
    age_at_start = age()
    for epoch in range(task.epochs):
        ended, predicted = _epoch(session, task, epoch, examples, test)
        emit(ended)
        if epoch == 0 and age_at_start is not None:
            steps = ended.images // task.job.batch_size
            emit(FirstStep(age_at_start + ended.seconds / steps))
        if ended.mean_loss is None:
            emit(Failed("diverged", f"the loss of epoch {ended.epoch} is not a finite number"))
            return None
        until = task.until_accuracy
        if until is not None and session.agree(ended.test_accuracy >= until):
            break
    return predicted


def _epoch(
    session: Session, task: TrainTask, epoch: int, examples: int, test: Split
) -> tuple[EpochEnded, IntArray]:
    """Train and evaluate one epoch; return its event and the predicted classes."""
    batches = epoch_batches(examples, task.train, epoch)
    rates = learning_rates(task.train, len(batches))
    session.agree()  # so that the clock does not measure the wait for a slower process
    before = read_usage()
    start = perf_counter()
    losses = session.train(batches, rates)
    seconds = perf_counter() - start
    usage = usage_since(before)
    evaluation = NOT_EVALUATED
    if task.is_recorded:  # the other ranks are idle meanwhile
        evaluation = evaluate(session, test.images, test.labels, task.evaluation_batch)
    mean_loss = float(np.mean(losses, dtype=np.float64))
    ended = EpochEnded(
        epoch=epoch + 1,
        images=batches.size,
        seconds=seconds,
        mean_loss=mean_loss if math.isfinite(mean_loss) else None,
        test_accuracy=evaluation.accuracy,
        evaluate_seconds=evaluation.seconds,
        usage=usage,
        leftover_seconds=evaluation.leftover_seconds,
    )
    return ended, evaluation.predicted


class Evaluation(NamedTuple):
    """The evaluation of a model on the test images.

    Attributes:
        predicted: (n,) predicted classes.
        accuracy: share of images that are classified correctly.
        seconds: duration of the evaluation.
        leftover_seconds: duration of the first prediction minus the median of the others, which is
            the time that the device needed to finish training; None if there was one prediction.
    """

    predicted: IntArray
    accuracy: float
    seconds: float
    leftover_seconds: Optional[float]


NOT_EVALUATED = Evaluation(np.zeros(0, np.int64), 0.0, 0.0, None)


def evaluate(session: Session, images: FloatArray, labels: IntArray, batch: int) -> Evaluation:
    """Classify the images. Call this directly after training, so that leftover work is noticed.

    Args:
        session: the trained session.
        images: (n, height, width, channels) test images.
        labels: (n,) their classes.
        batch: images per prediction.
    """
    predicted = np.empty(len(labels), np.int64)
    times = [perf_counter()]
    for start in range(0, len(labels), batch):
        part = predicted[start : start + batch]
        part[:] = session.predict(padded(images, start, batch))[: len(part)].argmax(axis=1)
        times.append(perf_counter())
    first, *others = np.diff(times).tolist()
    leftover = max(0.0, first - median(others)) if others else None
    accuracy = float(np.mean(predicted == labels))
    return Evaluation(predicted, accuracy, times[-1] - times[0], leftover)


def padded(images: FloatArray, start: int, batch: int) -> FloatArray:
    """Return a batch of images, in which the last image is repeated if there are too few.

    All batches have the same shape, because XLA would compile again for another one.

    Args:
        images: (n, ...) images.
        start: position of the first image.
        batch: number of images to return.
    """
    indices = np.minimum(np.arange(start, start + batch), len(images) - 1)
    return images[start : start + batch] if indices[-1] < len(images) - 1 else images[indices]
