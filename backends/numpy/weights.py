"""Where a session keeps its numbers: one flat vector of each kind, seen by address.

Every layer reads and writes views of these vectors, so that the optimizer updates all weights in
a handful of NumPy calls whatever the number of layers.
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
    """A trainable weight, and the place where the backward pass writes its gradient."""

    value: FloatArray
    gradient: FloatArray


class Statistic(NamedTuple):
    """A running statistic, and the place where a training pass writes its next value."""

    value: FloatArray
    following: FloatArray


class Vector(NamedTuple):
    """One flat vector and the views of it that are the arrays of each address."""

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
    """The weights and running statistics of a model, and what a training pass proposes for them.

    A training pass writes `gradients` and `following` only; the step that trains applies them.

    Attributes:
        values: the trainable weights.
        gradients: the gradient of the loss by each of them, in the same order.
        statistics: the running statistics.
        following: their values after the pass.
        random: the stream that dropout draws from.
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
        """The trainable weight `name` of the layer at `node`."""
        address = weight_name(node.path, name)
        return Parameter(self.values.views[address], self.gradients.views[address])

    def statistic(self, node: Node, name: str) -> Statistic:
        """The running statistic `name` of the layer at `node`."""
        address = weight_name(node.path, name)
        return Statistic(self.statistics.views[address], self.following.views[address])

    def keep_statistics(self) -> None:
        """Make the statistics that the last training pass wrote the running ones."""
        self.statistics.flat[:] = self.following.flat

    def weights(self) -> Weights:
        """A copy of every weight and statistic by address, in the order of execution."""
        views = {**self.values.views, **self.statistics.views}
        return {address: views[address].copy() for address in self._addresses}

    def copy_gradients(self) -> Weights:
        """A copy of the gradient of every trainable weight by address, in that order too."""
        return {address: view.copy() for address, view in self.gradients.views.items()}
