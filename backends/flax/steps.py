"""The training step, and the two loops over steps from Flax's guides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import jax
import optax
from flax import nnx

from bench.spec.weights import IntArray


class Data(NamedTuple):
    """The training set on the device: images (examples, ...), labels (examples,)."""

    images: Any
    labels: Any


def loss_of(model: Any, images: Any, labels: Any) -> tuple[Any, Any]:
    """Return the mean softmax cross-entropy of a batch, and its logits."""
    logits = model(images)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), logits


differentiate = nnx.value_and_grad(loss_of, has_aux=True)


def _step(model: Any, optimizer: Any, data: Data, batch: Any) -> Any:
    """Train one step on a batch of indices, and return the loss before it."""
    (loss, _), gradients = differentiate(model, data.images[batch], data.labels[batch])
    optimizer.update(model, gradients)
    return loss


class Loop(ABC):
    """A way of running many steps."""

    @abstractmethod
    def __init__(self, model: Any, optimizer: Any, data: Data) -> None:
        """Prepare; the first `run` compiles."""

    @abstractmethod
    def run(self, batches: IntArray) -> list[Any]:
        """Train on each row of (steps, batch) indices, and return the losses on the device."""


class JitLoop(Loop):
    """`nnx.jit` changes the objects, as in the tutorials."""

    def __init__(self, model: Any, optimizer: Any, data: Data) -> None:
        self._changing = model, optimizer
        self._data = data
        self._step = nnx.jit(_step)

    def run(self, batches: IntArray) -> list[Any]:
        """See `Loop.run`."""
        return [self._step(*self._changing, self._data, batch) for batch in batches]


class FunctionalLoop(Loop):
    """`jax.jit` takes only the state, as in the guide on performance.

    `nnx.jit` traverses the objects in Python at each call, which takes longer than a step of the
    smallest models.
    """

    def __init__(self, model: Any, optimizer: Any, data: Data) -> None:
        self._changing = model, optimizer
        self._data = data
        self._graph = nnx.graphdef(self._changing)
        self._step = jax.jit(self._train, donate_argnums=0)

    def _train(self, state: Any, data: Data, batch: Any) -> tuple[Any, Any]:
        model, optimizer = nnx.merge(self._graph, state)
        loss = _step(model, optimizer, data, batch)
        return nnx.state((model, optimizer)), loss

    def run(self, batches: IntArray) -> list[Any]:
        """See `Loop.run`."""
        state, losses = nnx.state(self._changing), []
        for batch in batches:
            state, loss = self._step(state, self._data, batch)
            losses.append(loss)
        nnx.update(self._changing, state)
        return losses


LOOPS: dict[str, type[Loop]] = {"jit": JitLoop, "functional": FunctionalLoop}
