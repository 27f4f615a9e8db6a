"""One model in Theano or PyTensor: its shared variables, and functions compiled on them."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import numpy as np

from backends.api import Gradients, Session, Workload
from backends.lowering import canonical_kernel, maps_first, takes_vectors
from backends.optimizers import settings_of_steps
from backends.theano.engine import Engine, Pass, Updates
from backends.theano.lowering import forward
from backends.theano.optimizers import SharedUpdate
from backends.theano.weights import place_weights
from bench.spec.parameters import trainable
from bench.spec.weights import FloatArray, IntArray, Weights


class _Graph(NamedTuple):
    """The symbolic results of a batch of indices; updates are of statistics and random streams."""

    batch: Any
    logits: Any
    loss: Any
    gradients: list[Any]
    updates: Updates


class SymbolicSession(Session):
    """Shared variables for weights, optimizer and data; functions compile at their first use."""

    def __init__(self, workload: Workload, engine: Engine) -> None:
        """Place weights and data, and build the graph; nothing is compiled yet."""
        self._engine = engine
        self._precision = workload.precision
        self._mode = workload.mode
        self._is_flat = takes_vectors(workload.model)
        self._functions: dict[str, Any] = {}
        self._steps_done = 0
        self._rule = engine.rule(workload.optimizer)
        with self._in_precision():
            self._variables = place_weights(workload.weights, self._precision, engine)
            self._trainable = {name: self._variables[name] for name in trainable(workload.model)}
            self._update = SharedUpdate(self._rule, list(self._trainable.values()), engine)
            self._graph = self._training_graph(workload)
            self._inputs, self._predicted = self._inference_graph(workload)

    def compile(self, steps: int, batch_size: int) -> None:
        """Compile the step, which takes batches of any size; see `Session.compile`."""
        self._function("train", self._compile_train)

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        step = self._function("train", self._compile_train)
        numbers = self._steps_done + np.arange(len(batches))
        columns = settings_of_steps(self._rule, learning_rates, numbers, self._precision)
        indices = batches.astype(np.int64)
        losses = [
            step(indices[number], *(column[number, ...] for column in columns))
            for number in range(len(batches))
        ]
        self._steps_done += len(batches)
        return np.array(losses, np.float32)

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        infer = self._function("infer", self._compile_infer)
        logits: FloatArray = infer(self._arranged(images))
        return logits

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        differentiate = self._function("differentiate", self._compile_differentiate)
        logits, loss, *values = differentiate(batch.astype(np.int64))
        weights = {key: canonical_kernel(value) for key, value in zip(self._trainable, values)}
        return Gradients(logits, float(loss), weights)

    def weights(self) -> Weights:
        """Return all weights and running statistics, in the session's precision."""
        return {
            address: canonical_kernel(variable.get_value(borrow=True))
            for address, variable in self._variables.items()
        }

    def _arranged(self, images: FloatArray) -> FloatArray:
        """Copy images to the graph's layout: vectors where the model flattens them first."""
        if self._is_flat:
            return np.array(images.reshape(len(images), -1), self._precision)
        return maps_first(images, self._precision)

    def _in_precision(self) -> Any:
        return self._engine.in_precision(self._precision)

    def _function(self, name: str, compile_it: Callable[[], Any]) -> Any:
        """Return the function of that name, compiled at its first use."""
        if name not in self._functions:
            with self._in_precision():
                self._functions[name] = compile_it()
        return self._functions[name]

    def _training_graph(self, workload: Workload) -> _Graph:
        shared, tensor = self._engine.library.shared, self._engine.tensor
        images = shared(self._arranged(workload.images), borrow=True)
        labels = shared(np.array(workload.labels, np.int64), borrow=True)
        batch = tensor.lvector("batch")
        run = self._pass(workload.seed, training=True)
        logits = forward(workload.model, images[batch], run)
        loss = self._engine.cross_entropy(logits, labels[batch])
        gradients = tensor.grad(loss, list(self._trainable.values()))
        return _Graph(batch, logits, loss, gradients, run.statistics + run.streams.updates)

    def _inference_graph(self, workload: Workload) -> tuple[Any, Any]:
        """Return symbolic images, and their logits."""
        tensor = self._engine.tensor
        is_map = len(workload.model.input_shape) == 3 and not self._is_flat
        images = tensor.tensor4("images") if is_map else tensor.matrix("images")
        run = self._pass(workload.seed, training=False)
        return images, forward(workload.model, images, run)

    def _pass(self, seed: int, training: bool) -> Pass:
        return Pass(self._engine, self._variables, training, self._engine.streams(seed), [])

    def _compile_train(self) -> Any:
        graph = self._graph
        updates = self._update.updates(graph.gradients) + graph.updates
        inputs = [graph.batch, *self._update.inputs]
        return self._engine.function(inputs, graph.loss, self._mode, updates)

    def _compile_infer(self) -> Any:
        return self._engine.function([self._inputs], self._predicted, self._mode)

    def _compile_differentiate(self) -> Any:
        graph = self._graph
        outputs = [graph.logits, graph.loss, *graph.gradients]
        return self._engine.function([graph.batch], outputs, self._mode)
