"""One model in tinygrad: its tensors, and the functions that the JIT captures."""

from __future__ import annotations

from typing import Any

import numpy as np
from tinygrad import Context, Device, Tensor, TinyJit

from backends.api import Gradients, Session, Workload
from backends.lowering import maps_first
from backends.optimizers import settings_of_steps, update_rule
from backends.tinygrad.lowering import Pass, forward
from backends.tinygrad.optimizers import AssignedUpdate
from backends.tinygrad.weights import canonical, place_weights
from bench.spec.parameters import trainable
from bench.spec.weights import FloatArray, IntArray, Weights

# The first call runs the function, the second captures its kernels, the third replays them.
_WARM_UP_CALLS = 3


class TinygradSession(Session):
    """Tensors for weights, optimizer and data; a captured step and a captured prediction."""

    def __init__(self, workload: Workload) -> None:
        Tensor.manual_seed(workload.seed)
        self._model = workload.model
        self._tensors = place_weights(workload.weights)
        self._trainable = {name: self._tensors[name] for name in trainable(workload.model)}
        self._rule = update_rule(workload.optimizer, Tensor.sqrt)
        self._update = AssignedUpdate(self._rule, list(self._trainable.values()))
        self._images = Tensor(maps_first(workload.images, np.float32)).clone().realize()
        self._labels = Tensor(np.array(workload.labels, np.int32)).clone().realize()
        self._steps: dict[int, Any] = {}
        self._predictions: dict[int, Any] = {}
        self._steps_done = 0

    def compile(self, steps: int, batch_size: int) -> None:
        """Run a few steps on copies of one example and undo them; see `Session.compile`."""
        kept = [*self._tensors.values(), *self._update.state]
        before = [tensor.numpy().copy() for tensor in kept]
        done = self._steps_done
        self.train(np.zeros((_WARM_UP_CALLS, batch_size), np.int32), np.zeros(_WARM_UP_CALLS))
        self._steps_done = done
        for tensor, value in zip(kept, before):
            tensor.assign(Tensor(value)).realize()
        Device["CPU"].synchronize()

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        step = self._steps.setdefault(batches.shape[1], TinyJit(self._step))
        numbers = self._steps_done + np.arange(len(batches))
        rows = np.stack(settings_of_steps(self._rule, learning_rates, numbers, np.float32), axis=1)
        losses = np.empty(len(batches), np.float32)
        with Context(TRAINING=1):
            for number, (batch, row) in enumerate(zip(batches, rows)):
                losses[number] = step(_input(batch), _input(row)).item()
        self._steps_done += len(batches)
        Device["CPU"].synchronize()
        return losses

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        infer = self._predictions.setdefault(len(images), TinyJit(self._infer))
        with Context(TRAINING=0):
            logits: FloatArray = infer(_input(maps_first(images, np.float32))).numpy().copy()
        return logits

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        with Context(TRAINING=1):
            logits, loss, gradients, _ = self._differentiate(_input(batch))
            Tensor.realize(logits, loss, *gradients)
        arrays = {address: canonical(value) for address, value in zip(self._trainable, gradients)}
        return Gradients(logits.numpy().copy(), float(loss.item()), arrays)

    def weights(self) -> Weights:
        """Return all weights and running statistics, in float32."""
        return {address: canonical(tensor) for address, tensor in self._tensors.items()}

    def _infer(self, images: Any) -> Any:
        run = Pass(self._tensors, training=False, statistics=[])
        return forward(self._model, images, run).realize()

    def _differentiate(self, batch: Any) -> tuple[Any, Any, list[Any], list[tuple[Any, Any]]]:
        """Return lazy logits, loss, gradients and next statistics of a batch of indices."""
        run = Pass(self._tensors, training=True, statistics=[])
        logits = forward(self._model, self._images[batch], run)
        loss = logits.sparse_categorical_crossentropy(self._labels[batch])
        return logits, loss, loss.gradient(*self._trainable.values()), run.statistics

    def _step(self, batch: Any, settings: Any) -> Any:
        _, loss, gradients, statistics = self._differentiate(batch)
        self._update.assign(gradients, [settings[i] for i in range(settings.shape[0])])
        for running, following in statistics:
            running.assign(following)
        return loss.realize(*self._tensors.values(), *self._update.state)


def _input(values: Any) -> Any:
    """Return a realised tensor of an array, as the JIT requires."""
    return Tensor(np.ascontiguousarray(values)).realize()
