"""The differences between Theano and PyTensor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple

from backends.api import unsupported_layer
from backends.optimizers import UpdateRule, update_rule
from bench.spec.layers import AvgPool, BatchNorm, MaxPool
from bench.spec.parameters import weight_name
from bench.spec.shapes import Node
from bench.spec.training import Optimizer

# A shared variable, and the expression of its next value.
Updates = list[tuple[Any, Any]]


class Engine(ABC):
    """One of the libraries.

    Attributes:
        title: the library's name in error messages.
        library: its module.
        modes: its compilation modes, by the recipe's names.
        options: further arguments of its `function`.
    """

    title: str
    library: Any
    modes: ClassVar[Mapping[str, Any]]
    options: ClassVar[Mapping[str, Any]] = {}

    @property
    def tensor(self) -> Any:
        """The library's module of operations."""
        return self.library.tensor

    def function(
        self, inputs: Sequence[Any], outputs: Any, mode: str, updates: Sequence[Any] = ()
    ) -> Any:
        """Compile a function whose arguments have the right types: calls do not check them."""
        compiled = self.library.function(
            list(inputs),
            outputs,
            updates=list(updates),
            mode=self.modes[mode],
            **self.options,
        )
        compiled.trust_input = True
        return compiled

    def rule(self, optimizer: Optimizer) -> UpdateRule:
        """Return the formulas of an optimizer."""
        return update_rule(optimizer, self.tensor.sqrt)

    @abstractmethod
    def in_precision(self, precision: str) -> AbstractContextManager[object]:
        """Give constants and scalars that are made inside that type."""

    @abstractmethod
    def streams(self, seed: int) -> Streams:
        """Return the random streams of dropout."""

    @abstractmethod
    def sigmoid(self, x: Any) -> Any:
        """Return 1 / (1 + exp(-x))."""

    @abstractmethod
    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        """Return the mean softmax cross-entropy of logits (n, classes) and labels (n,)."""

    @abstractmethod
    def normalised(self, layer: BatchNorm, node: Node, x: Any, run: Pass) -> Any:
        """Return the batch normalisation of vectors or maps."""

    def convolved(self, node: Node, x: Any, run: Pass) -> Any:
        """Return the convolution of maps, with its bias."""
        raise unsupported_layer(self.title, node)

    def max_pooled(self, layer: MaxPool, node: Node, x: Any) -> Any:
        """Return the maximum of each window of a map."""
        raise unsupported_layer(self.title, node)

    def average_pooled(self, layer: AvgPool, node: Node, x: Any) -> Any:
        """Return the mean of each window of a map."""
        raise unsupported_layer(self.title, node)


class Streams(ABC):
    """Random streams.

    Attributes:
        updates: the streams that were drawn from, and their next states.
    """

    updates: Updates

    @abstractmethod
    def mask(self, x: Any, share: float) -> Any:
        """Return ones, and zeros in the place of all but a share of x."""


class Pass(NamedTuple):
    """One pass through the model.

    Attributes:
        engine: the library.
        variables: the model's shared variables, by address.
        training: whether this is a training pass.
        streams: random streams for dropout.
        statistics: in training, filled with the running statistics and their next values.
    """

    engine: Engine
    variables: Mapping[str, Any]
    training: bool
    streams: Streams
    statistics: Updates

    def weight(self, node: Node, name: str) -> Any:
        """Return a weight of the layer at a node; None where it has no such weight."""
        return self.variables.get(weight_name(node.path, name))

    def normalisation(self, node: Node) -> list[Any]:
        """Return the scale, shift, mean and variance of a batch normalisation."""
        return [self.weight(node, name) for name in ("scale", "shift", "mean", "variance")]
