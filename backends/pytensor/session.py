"""One model in PyTensor: its shared variables, and the functions that are compiled on them."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import numpy as np
import pytensor
from pytensor import tensor

from backends.api import Gradients, Session, Workload
from backends.pytensor.lowering import Pass, forward
from backends.theano.optimizers import Updates, update_rule
from bench.spec.parameters import weight_specs
from bench.spec.weights import FloatArray, IntArray, Weights

_MODES = {"numba": "NUMBA", "cvm": "CVM"}


class _Graph(NamedTuple):
    """The symbolic results of one batch of indices.

    Attributes:
        batch: (n,) int64 indices.
        logits: (n, classes).
        loss: their mean loss.
        gradients: of the loss, of each trainable weight.
        updates: of running statistics and random streams.
    """

    batch: Any
    logits: Any
    loss: Any
    gradients: list[Any]
    updates: Updates


class PyTensorSession(Session):
    """Shared variables for weights, optimizer and data, and functions compiled when first used."""

    def __init__(self, workload: Workload) -> None:
        """Place weights and data, and build the graph; nothing is compiled yet."""
        self._precision = workload.precision
        self._mode = _MODES[workload.mode]
        self._functions: dict[str, Any] = {}
        self._steps_done = 0
        with self._in_precision():
            self._variables = {
                address: pytensor.shared(np.array(value, self._precision), name=address)
                for address, value in workload.weights.items()
            }
            specs = weight_specs(workload.model)
            self._trainable = {
                address: self._variables[address]
                for address, spec in specs.items()
                if spec.trainable
            }
            weights = list(self._trainable.values())
            self._update = update_rule(workload.optimizer, weights, pytensor)
            self._graph = self._training_graph(workload)
            self._images, self._predicted = self._inference_graph(workload)

    def compile(self, steps: int, batch_size: int) -> None:
        """Compile the step, which takes any number of images; see `Session.compile`."""
        self._function("train", self._compile_train)

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        step = self._function("train", self._compile_train)
        numbers = self._steps_done + np.arange(len(batches))
        settings = self._update.settings(learning_rates.astype(np.float64), numbers)
        columns = [values.astype(self._precision) for values in settings]
        indices = batches.astype(np.int64)
        losses = [
            step(indices[number], *(column[number, ...] for column in columns))
            for number in range(len(batches))
        ]
        self._steps_done += len(batches)
        return np.array(losses, np.float32)

    def predict(self, images: FloatArray) -> FloatArray:
        """Logits (n, classes) of (n, height, width, channels) images; see `Session.predict`."""
        infer = self._function("infer", self._compile_infer)
        logits: FloatArray = infer(np.asarray(images, self._precision))
        return logits

    def gradients(self, batch: IntArray) -> Gradients:
        """Logits, loss and gradients of one batch; see `Session.gradients`."""
        differentiate = self._function("differentiate", self._compile_differentiate)
        logits, loss, *values = differentiate(batch.astype(np.int64))
        return Gradients(logits, float(loss), dict(zip(self._trainable, values)))

    def weights(self) -> Weights:
        """Every weight and running statistic, in the session's precision."""
        return {address: variable.get_value() for address, variable in self._variables.items()}

    def _in_precision(self) -> Any:
        """Constants and scalars that are made inside are of the session's type."""
        return pytensor.config.change_flags(floatX=self._precision)

    def _function(self, name: str, compile_it: Callable[[], Any]) -> Any:
        """The function of that name, compiled when it is first asked for."""
        if name not in self._functions:
            with self._in_precision():
                self._functions[name] = compile_it()
        return self._functions[name]

    def _training_graph(self, workload: Workload) -> _Graph:
        images = pytensor.shared(np.array(workload.images, self._precision), borrow=True)
        labels = pytensor.shared(np.array(workload.labels, np.int64), borrow=True)
        batch = tensor.lvector("batch")
        run = Pass(self._variables, True, workload.seed, statistics=[], streams=[])
        logits = forward(workload.model, images[batch], run)
        rows = tensor.arange(batch.shape[0])
        loss = -tensor.special.log_softmax(logits, axis=1)[rows, labels[batch]].mean()
        gradients = tensor.grad(loss, list(self._trainable.values()))
        return _Graph(batch, logits, loss, gradients, run.statistics + run.streams)

    def _inference_graph(self, workload: Workload) -> tuple[Any, Any]:
        """Symbolic images, and their logits."""
        images = tensor.tensor("images", shape=(None, *workload.model.input_shape))
        run = Pass(self._variables, False, workload.seed, statistics=[], streams=[])
        return images, forward(workload.model, images, run)

    def _compile_train(self) -> Any:
        graph = self._graph
        updates = self._update.updates(graph.gradients) + graph.updates
        inputs = [graph.batch, *self._update.inputs]
        # Every argument is of the right type already: no call looks at it again.
        return pytensor.function(
            inputs, graph.loss, updates=updates, mode=self._mode, trust_input=True
        )

    def _compile_infer(self) -> Any:
        return pytensor.function([self._images], self._predicted, mode=self._mode)

    def _compile_differentiate(self) -> Any:
        graph = self._graph
        outputs = [graph.logits, graph.loss, *graph.gradients]
        return pytensor.function([graph.batch], outputs, mode=self._mode)
