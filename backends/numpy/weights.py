"""The weights of a session: one flat vector of each kind, with views by address.

Layers read and write views of these vectors, so the optimizer updates all weights in a few NumPy
calls, whatever the number of layers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.spec.parameters import weight_name, weight_specs
from bench.spec.shapes import Node, Shape
from bench.spec.weights import FloatArray, Weights


class Parameter(NamedTuple):
    """A trainable weight, and the array to which the backward pass writes its gradient."""

    value: FloatArray
    gradient: FloatArray


class Statistic(NamedTuple):
    """A running statistic, and the array to which a training pass writes its next value."""

    value: FloatArray
    following: FloatArray


class Vector(NamedTuple):
    """A flat vector, and its views by address."""

    flat: FloatArray
    views: Weights


def _vector(shapes: dict[str, Shape], dtype: npt.DTypeLike) -> Vector:
    flat: FloatArray = np.zeros(sum(math.prod(shape) for shape in shapes.values()), dtype)
    views, start = {}, 0
    for address, shape in shapes.items():
        stop = start + math.prod(shape)
        views[address] = flat[start:stop].reshape(shape)
        start = stop
    return Vector(flat, views)


class Store:
    """The weights and running statistics of a model, with their gradients and next values.

    A training pass writes only `gradients` and `following`; the training step applies them.

    Attributes:
        values: the trainable weights.
        gradients: the gradient of the loss by each weight, in the same order.
        statistics: the running statistics.
        following: the running statistics after the pass.
        random: the random stream of dropout.
    """

    def __init__(self, model: Node, weights: Weights, dtype: npt.DTypeLike, seed: int = 0) -> None:
        specs = weight_specs(model)
        trained = {address: spec.shape for address, spec in specs.items() if spec.trainable}
        running = {address: spec.shape for address, spec in specs.items() if not spec.trainable}
        self._addresses = tuple(specs)
        self.values, self.gradients = _vector(trained, dtype), _vector(trained, dtype)
        self.statistics, self.following = _vector(running, dtype), _vector(running, dtype)
        for address, view in {**self.values.views, **self.statistics.views}.items():
            view[...] = weights[address]
        self.random = np.random.default_rng(seed)

    def parameter(self, node: Node, name: str) -> Parameter:
        """Return a trainable weight of the layer at a node."""
        address = weight_name(node.path, name)
        return Parameter(self.values.views[address], self.gradients.views[address])

    def statistic(self, node: Node, name: str) -> Statistic:
        """Return a running statistic of the layer at a node."""
        address = weight_name(node.path, name)
        return Statistic(self.statistics.views[address], self.following.views[address])

    def keep_statistics(self) -> None:
        """Replace the running statistics by those of the last training pass."""
        self.statistics.flat[:] = self.following.flat

    def weights(self) -> Weights:
        """Copy all weights and statistics, in the order of execution."""
        views = {**self.values.views, **self.statistics.views}
        return {address: views[address].copy() for address in self._addresses}

    def copy_gradients(self) -> Weights:
        """Copy the gradients of all trainable weights, in the same order."""
        return {address: view.copy() for address, view in self.gradients.views.items()}
