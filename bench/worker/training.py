"""Train one model as a task says, each phase under its own clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Callable

import numpy as np

from backends.api import Backend, Device, Session, Unsupported, Workload
from backends.native import NativeStart, native_start
from bench.data.decoded import Dataset, open_decoded
from bench.spec.shapes import Node, resolve
from bench.spec.training import epoch_batches, learning_rates, scale_pixels
from bench.spec.weights import FloatArray, IntArray, initial_weights
from bench.worker.process import peak_memory
from bench.worker.protocol import (
    EpochEnded,
    Event,
    Failed,
    Finished,
    NativeSettings,
    PhaseBegan,
    PhaseEnded,
    TrainTask,
)

Tell = Callable[[Event], None]


@contextmanager
def phase(name: str, tell: Tell) -> Iterator[None]:
    """Time the block, and tell of its start and its end."""
    tell(PhaseBegan(name))
    start = perf_counter()
    yield
    tell(PhaseEnded(name, perf_counter() - start))


def train(task: TrainTask, backend: Backend, tell: Tell) -> None:
    """Do the task and tell every event; a loss that is no number ends it as diverged."""
    device = find_device(backend, task.device)
    with phase("data", tell):
        data = open_decoded(task.data)
        images, labels = _training_examples(data, task)
        test_images = scale_pixels(data.test_images).reshape(-1, *data.input_shape)
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
                mode=task.mode,
                precision=task.precision,
                seed=task.train.seed,
            )
        )
    del images
    batches = epoch_batches(len(labels), task.train, 0)
    with phase("compile", tell):
        session.compile(*batches.shape)
        session.predict(padded(test_images, 0, task.evaluation_batch))
    for epoch in range(task.train.epochs):
        ended = _epoch(session, task, epoch, len(labels), test_images, data.test_labels)
        tell(ended)
        if ended.mean_loss is None:
            tell(Failed("diverged", f"the loss of epoch {ended.epoch} is not a finite number"))
            return
    tell(Finished(peak_memory(), session.device_memory()))


def find_device(backend: Backend, name: str) -> Device:
    """The backend's device of that name.

    Raises:
        Unsupported: the backend does not see it.
    """
    devices = {device.name: device for device in backend.devices()}
    if name not in devices:
        raise Unsupported(f"device {name}: the framework sees {', '.join(devices) or 'none'}")
    return devices[name]


def _training_examples(data: Dataset, task: TrainTask) -> tuple[FloatArray, IntArray]:
    images = scale_pixels(data.train_images[: task.train_samples])
    labels = data.train_labels[: task.train_samples].astype(np.int32)
    return images.reshape(-1, *data.input_shape), labels


def _start(task: TrainTask, backend: Backend, model: Node) -> NativeStart:
    """What the session starts from: the spec's choices, or in the native arm the framework's."""
    weights = initial_weights(model, task.train.seed)
    optimizer = task.train.optimizer
    if task.arm == "controlled":
        return NativeStart(model, optimizer, weights, {})
    defaults = backend.native_defaults(task.train.seed)
    if defaults is None:
        raise Unsupported("arm native: this backend has no choices of its own, only the spec's")
    return native_start(model, optimizer, weights, defaults)


def _epoch(
    session: Session,
    task: TrainTask,
    epoch: int,
    examples: int,
    test_images: FloatArray,
    test_labels: IntArray,
) -> EpochEnded:
    batches = epoch_batches(examples, task.train, epoch)
    rates = learning_rates(task.train, len(batches))
    start = perf_counter()
    losses = session.train(batches, rates)
    seconds = perf_counter() - start
    start = perf_counter()
    accuracy = evaluate(session, test_images, test_labels, task.evaluation_batch)
    mean_loss = float(np.mean(losses, dtype=np.float64))
    return EpochEnded(
        epoch=epoch + 1,
        images=batches.size,
        seconds=seconds,
        mean_loss=mean_loss if math.isfinite(mean_loss) else None,
        test_accuracy=accuracy,
        evaluate_seconds=perf_counter() - start,
    )


def evaluate(session: Session, images: FloatArray, labels: IntArray, batch: int) -> float:
    """The share of images (n, h, w, c) whose largest logit is at the label (n,)."""
    right = 0
    for start in range(0, len(labels), batch):
        wanted = labels[start : start + batch]
        logits = session.predict(padded(images, start, batch))[: len(wanted)]
        right += int(np.count_nonzero(logits.argmax(axis=1) == wanted))
    return right / len(labels)


def padded(images: FloatArray, start: int, batch: int) -> FloatArray:
    """`batch` images from `start` on, the last repeated where they end.

    Every prediction has one shape, since another shape would make XLA compile again.
    """
    indices = np.minimum(np.arange(start, start + batch), len(images) - 1)
    return images[start : start + batch] if indices[-1] < len(images) - 1 else images[indices]
