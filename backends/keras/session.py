"""One model in Keras: `fit` is called for each sequence of steps with the same learning rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional

import keras
import numpy as np
import numpy.typing as npt

from backends.api import Gradients, Session, Workload
from backends.keras.engine import MODES, Engine
from backends.keras.lowering import lower
from backends.keras.optimizers import make_optimizer
from backends.keras.weights import place_weights
from bench.spec.parameters import weight_specs
from bench.spec.weights import FloatArray, IntArray, Weights


class KerasSession(Session):
    """A compiled Keras model, with its data in host memory, where `fit` reads it."""

    def __init__(self, workload: Workload, engine: Engine) -> None:
        """Build and compile the model, and set its weights."""
        self._engine = engine
        self._device = workload.device
        self._images = np.array(workload.images)
        self._labels = np.array(workload.labels)
        self._specs = weight_specs(workload.model)
        mode = MODES[workload.mode]
        with self._settings():
            self._model, self._variables = lower(workload.model, engine.activations, workload.seed)
            place_weights(self._variables, workload.weights)
            self._optimizer = make_optimizer(workload.optimizer)
            self._model.compile(
                self._optimizer,
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                steps_per_execution=mode.steps,
                jit_compile=mode.jit,
            )
            self._optimizer.build(self._model.trainable_variables)
            self._differentiate = engine.differentiator(self._model, mode.jit)

    def compile(self, steps: int, batch_size: int) -> None:
        """Fit one batch and undo it; see `Session.compile`."""
        with self._settings():
            with self._unchanged([*self._model.variables, *self._optimizer.variables]):
                self._fit(np.zeros((1, batch_size), np.int32))
            self._engine.wait(self._model, self._device)

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch; `fit` reports only the mean loss of a call."""
        losses = np.empty(len(batches), np.float32)
        with self._settings():
            for stretch in _stretches(learning_rates):
                self._optimizer.change_rate(float(learning_rates[stretch.start]))
                losses[stretch] = self._fit(batches[stretch])
            self._engine.wait(self._model, self._device)
        return losses

    def _fit(self, batches: IntArray) -> float:
        """Train on the batches in order, and return the mean loss."""
        order = batches.ravel()
        history = self._model.fit(
            self._images[order],
            self._labels[order],
            batch_size=batches.shape[1],
            shuffle=False,
            verbose=0,
        )
        return float(history.history["loss"][0])

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        with self._settings():
            return np.array(self._model.predict_on_batch(images))

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        trained = self._model.trainable_variables
        with self._settings():
            with self._unchanged(self._model.non_trainable_variables):
                logits, loss, gradients = self._differentiate(
                    self._images[batch], self._labels[batch]
                )
            by_variable = {id(variable): value for variable, value in zip(trained, gradients)}
            weights = {
                address: self._canonical(address, by_variable[id(variable)])
                for address, variable in self._variables.items()
                if self._specs[address].trainable
            }
            return Gradients(self._copied(logits), float(self._copied(loss)), weights)

    def weights(self) -> Weights:
        """Return all weights and running statistics."""
        return {
            address: self._canonical(address, variable)
            for address, variable in self._variables.items()
        }

    def device_memory(self) -> Optional[int]:
        """Return the peak of the engine's allocator; see `Session.device_memory`."""
        return self._engine.peak_memory(self._device)

    def _canonical(self, address: str, values: Any) -> FloatArray:
        """Copy a weight; Keras stores a depthwise kernel as (k, k, c, 1), with the same order."""
        return self._copied(values).reshape(self._specs[address].shape)

    def _copied(self, values: Any) -> npt.NDArray[Any]:
        """Copy the values of a variable or tensor to the host."""
        tensor = values.value if isinstance(values, keras.Variable) else values
        return np.array(self._engine.to_numpy(tensor))

    @contextmanager
    def _unchanged(self, variables: Sequence[Any]) -> Iterator[None]:
        """Restore the variables' values after the context."""
        before = [self._copied(variable) for variable in variables]
        yield
        for variable, value in zip(variables, before):
            variable.assign(value)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Use the session's device and the engine's settings inside the context."""
        with self._engine.settings(), keras.device(self._device.name):
            yield


def _stretches(rates: FloatArray) -> Iterator[slice]:
    """Yield the sequences of steps with the same learning rate.

    >>> list(_stretches(np.array([0.2, 0.2, 0.1])))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    changes = (np.flatnonzero(np.diff(rates)) + 1).tolist()
    return (slice(*ends) for ends in zip([0, *changes], [*changes, len(rates)]))
