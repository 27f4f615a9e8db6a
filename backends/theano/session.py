"""One model in Theano: its shared variables, and the functions that are compiled on them."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import numpy as np
import theano
from theano import tensor
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano.tensor import nnet

from backends.api import Gradients, Session, Workload
from backends.theano.lowering import Pass, forward
from backends.theano.optimizers import Updates, update_rule
from backends.theano.weights import Variables, canonical, place_weights, trainable
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray, IntArray, Weights

_MODES = {
    "fast_run": theano.Mode(linker="cvm", optimizer="fast_run"),
    # Few rewrites of the graph; the operations that are left run in C++ all the same.
    "fast_compile": theano.Mode(linker="cvm", optimizer="fast_compile"),
}
_LARGEST_SEED = 2**31 - 2**20  # Theano's generator takes 1 to a little less than 2^31


class _Graph(NamedTuple):
    """The symbolic results of one batch of indices.

    Attributes:
        batch: (n,) int64 indices.
        logits: (n, classes).
        loss: their mean loss.
        gradients: of the loss, of each trainable weight.
        statistics: the running statistics and their next values.
    """

    batch: Any
    logits: Any
    loss: Any
    gradients: list[Any]
    statistics: Updates


class TheanoSession(Session):
    """Shared variables for weights, optimizer and data, and functions compiled when first used."""

    def __init__(self, workload: Workload) -> None:
        """Place weights and data, and build the graph; nothing is compiled yet."""
        self._precision = workload.precision
        self._mode = _MODES[workload.mode]
        self._functions: dict[str, Any] = {}
        self._steps_done = 0
        with self._in_precision():
            self._variables = place_weights(workload.weights, self._precision)
            self._trainable = trainable(workload.model, self._variables)
            self._update = update_rule(workload.optimizer, list(self._trainable.values()), theano)
            self._graph = _training_graph(
                workload, self._variables, list(self._trainable.values()), self._images
            )
            self._images_given, self._predicted = _inference_graph(workload.model, self._variables)

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
        logits: FloatArray = infer(self._images(images))
        return logits

    def gradients(self, batch: IntArray) -> Gradients:
        """Logits, loss and gradients of one batch; see `Session.gradients`."""
        differentiate = self._function("differentiate", self._compile_differentiate)
        logits, loss, *values = differentiate(batch.astype(np.int64))
        arrays = {address: canonical(value) for address, value in zip(self._trainable, values)}
        return Gradients(logits, float(loss), arrays)

    def weights(self) -> Weights:
        """Every weight and running statistic, in the session's precision."""
        return {
            address: canonical(variable.get_value(borrow=True))
            for address, variable in self._variables.items()
        }

    def _images(self, images: FloatArray) -> FloatArray:
        """A copy in Theano's layout and the session's type; vectors stay vectors."""
        laid = images.transpose(0, 3, 1, 2) if images.ndim == 4 else images
        return np.array(laid, self._precision, order="C")

    def _in_precision(self) -> Any:
        """Constants and scalars that are made inside are of the session's type."""
        return theano.change_flags(floatX=self._precision)

    def _function(self, name: str, compile_it: Callable[[], Any]) -> Any:
        """The function of that name, compiled when it is first asked for."""
        if name not in self._functions:
            with self._in_precision():
                self._functions[name] = compile_it()
            # Every argument is of the right type already: no call looks at it again.
            self._functions[name].trust_input = True
        return self._functions[name]

    def _compile_train(self) -> Any:
        graph = self._graph
        updates = self._update.updates(graph.gradients) + graph.statistics
        inputs = [graph.batch, *self._update.inputs]
        return theano.function(inputs, graph.loss, updates=updates, mode=self._mode)

    def _compile_infer(self) -> Any:
        return theano.function([self._images_given], self._predicted, mode=self._mode)

    def _compile_differentiate(self) -> Any:
        graph = self._graph
        outputs = [graph.logits, graph.loss, *graph.gradients]
        # Without the updates that it has by default, dropout's stream stays where it is.
        return theano.function([graph.batch], outputs, no_default_updates=True, mode=self._mode)


def _training_graph(
    workload: Workload,
    variables: Variables,
    weights: list[Any],
    arranged: Callable[[FloatArray], FloatArray],
) -> _Graph:
    """One pass of training on the examples at symbolic indices of the resident training set."""
    images = theano.shared(arranged(workload.images), borrow=True)
    labels = theano.shared(np.array(workload.labels, np.int32), borrow=True)
    batch = tensor.lvector("batch")
    random = MRG_RandomStreams(1 + workload.seed % _LARGEST_SEED)
    run = Pass(variables, training=True, random=random, statistics=[])
    logits = forward(workload.model, images[batch], run)
    losses, _ = nnet.crossentropy_softmax_1hot(logits, labels[batch])
    loss = losses.mean()
    return _Graph(batch, logits, loss, tensor.grad(loss, weights), run.statistics)


def _inference_graph(model: Node, variables: Variables) -> tuple[Any, Any]:
    """Symbolic images in Theano's layout, and their logits."""
    images = tensor.tensor4("images") if len(model.input_shape) == 3 else tensor.matrix("images")
    run = Pass(variables, training=False, random=None, statistics=[])
    return images, forward(model, images, run)
