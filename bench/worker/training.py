"""Train one model as a task says, each phase under its own clock."""

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

Tell = Emit


class Split(NamedTuple):
    """Scaled images (n, height, width, channels) float32, and their labels (n,)."""

    images: FloatArray
    labels: IntArray


@contextmanager
def phase(name: str, tell: Tell) -> Iterator[None]:
    """Time the block, and tell of its start and its end."""
    tell(PhaseBegan(name))
    start = perf_counter()
    yield
    tell(PhaseEnded(name, perf_counter() - start))


def train(task: TrainTask, backend: Backend, tell: Tell) -> None:
    """Do the task and tell every event; a loss that is no number ends it as diverged."""
    device = find_device(backend, task.job.device)
    with phase("data", tell):
        data = open_decoded(task.data)
        images, labels = _training_examples(data, task)
        test = Split(_scaled(data.test_images, data), data.test_labels)
    start = _start(task, backend, resolve(task.model, data.input_shape))
    tell(NativeSettings(start.settings))
    with phase("build", tell):
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
    del images
    batches = epoch_batches(len(labels), task.train, 0)
    began = perf_counter()
    with phase("compile", tell):
        session.compile(*batches.shape)
        if task.is_recorded:
            session.predict(padded(test.images, 0, task.evaluation_batch))
    compile_seconds = perf_counter() - began
    predicted = _epochs(session, task, len(labels), test, tell)
    if predicted is None:
        return
    peaks = peak_memory(), session.device_memory(), session.communication_seconds()
    if task.is_recorded:
        tell(PhaseBegan("inference"))
        tell(measure(session, test.images, min(task.evaluation_batch, len(test.images))))
    tell(Finished(*peaks))
    if task.explain and task.is_recorded:
        trained = (start.model, task.train, len(labels))
        tell(explain(session, *trained, *test, predicted, compile_seconds))
    elif task.explain:  # the steps that rank 0 times need every process
        step_times(session, task.train, len(labels), compile_seconds)


def find_device(backend: Backend, name: str) -> Device:
    """The backend's device of that name.

    Raises:
        Unsupported: the backend does not see it.
    """
    devices = {device.name: device for device in backend.devices()}
    if name not in devices:
        raise Unsupported(f"device {name}: the framework sees {', '.join(devices) or 'none'}")
    return devices[name]


def _training_examples(data: Dataset, task: TrainTask) -> tuple[npt.NDArray[Any], IntArray]:
    """Images, scaled or for a pipeline as pixels, and labels."""
    pixels = data.train_images[: task.train_samples]
    labels = data.train_labels[: task.train_samples].astype(np.int32)
    if task.job.input == "pipeline":
        return pixels.reshape(-1, *data.input_shape), labels
    return _scaled(pixels, data), labels


def _scaled(pixels: IntArray, data: Dataset) -> FloatArray:
    return scale_pixels(pixels).reshape(-1, *data.input_shape)


def _start(task: TrainTask, backend: Backend, model: Node) -> NativeStart:
    """What the session starts from: the spec's choices, or in the native arm the framework's."""
    weights = initial_weights(model, task.seed)
    optimizer = task.optimizer
    if task.job.arm == "controlled":
        return NativeStart(model, optimizer, weights, {})
    defaults = backend.native_defaults(task.seed)
    if defaults is None:
        raise Unsupported("arm native: this backend has no choices of its own, only the spec's")
    return native_start(model, optimizer, weights, defaults)


def _epochs(
    session: Session, task: TrainTask, examples: int, test: Split, tell: Tell
) -> Optional[IntArray]:
    """Train until all epochs are over or the accuracy is reached; None when training diverged.

    Returns:
        (n,) the classes that the trained model predicts for the test images.
    """
    age_at_start = age()
    for epoch in range(task.epochs):
        ended, predicted = _epoch(session, task, epoch, examples, test)
        tell(ended)
        if epoch == 0 and age_at_start is not None:
            steps = ended.images // task.job.batch_size
            tell(FirstStep(age_at_start + ended.seconds / steps))
        if ended.mean_loss is None:
            tell(Failed("diverged", f"the loss of epoch {ended.epoch} is not a finite number"))
            return None
        until = task.until_accuracy
        if until is not None and session.agree(ended.test_accuracy >= until):
            break
    return predicted


def _epoch(
    session: Session, task: TrainTask, epoch: int, examples: int, test: Split
) -> tuple[EpochEnded, IntArray]:
    batches = epoch_batches(examples, task.train, epoch)
    rates = learning_rates(task.train, len(batches))
    session.agree()  # so that the clock does not measure the wait for a slower process
    before = read_usage()
    start = perf_counter()
    losses = session.train(batches, rates)
    seconds = perf_counter() - start
    usage = usage_since(before)
    found = NOT_EVALUATED
    if task.is_recorded:  # the other ranks are idle meanwhile
        found = evaluate(session, test.images, test.labels, task.evaluation_batch)
    mean_loss = float(np.mean(losses, dtype=np.float64))
    ended = EpochEnded(
        epoch=epoch + 1,
        images=batches.size,
        seconds=seconds,
        mean_loss=mean_loss if math.isfinite(mean_loss) else None,
        test_accuracy=found.accuracy,
        evaluate_seconds=found.seconds,
        usage=usage,
        leftover_seconds=found.leftover_seconds,
    )
    return ended, found.predicted


class Evaluation(NamedTuple):
    """The predicted classes, the share of right ones, the time, and what training had left to do.

    The first prediction waits for what the device has not finished: `leftover_seconds` is how much
    longer it took than the median of the others; None where there is none.
    """

    predicted: IntArray
    accuracy: float
    seconds: float
    leftover_seconds: Optional[float]


NOT_EVALUATED = Evaluation(np.zeros(0, np.int64), 0.0, 0.0, None)


def evaluate(session: Session, images: FloatArray, labels: IntArray, batch: int) -> Evaluation:
    """Classify images (n, h, w, c) with labels (n,), `batch` at a time, just after training."""
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
    """`batch` images from `start` on, the last repeated where they end.

    Every prediction has one shape, since another shape would make XLA compile again.
    """
    indices = np.minimum(np.arange(start, start + batch), len(images) - 1)
    return images[start : start + batch] if indices[-1] < len(images) - 1 else images[indices]
