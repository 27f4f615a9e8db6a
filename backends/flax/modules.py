"""Modules that flax.nnx does not have: the spec's batch normalisation, and merges of branches.

Feature maps are (n, h, w, c), vectors (n, features), in Flax as in the spec.
"""

# Nothing of Flax is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

import operator
from functools import reduce
from typing import Any, Callable

import jax.numpy as jnp
from flax import nnx
from jax import lax

from backends.lowering import multiplied


class UnbiasedBatchNorm(nnx.BatchNorm):
    """Flax's module, with a running variance that follows the unbiased batch variance."""

    def __call__(self, x: Any) -> Any:
        """Normalise (n, ..., c), in training mode with the moments of the batch."""
        if self.use_running_average:
            return super().__call__(x)
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(x, axes)
        centred = x - mean
        variance = jnp.mean(jnp.square(centred), axes)
        count = x.size // x.shape[-1]
        self._move(self.mean, mean)
        self._move(self.var, variance * (count / (count - 1)))
        factor = self.scale[...] * lax.rsqrt(variance + self.epsilon)
        return centred * factor + self.bias[...]

    def _move(self, running: Any, batch: Any) -> None:
        running[...] = self.momentum * running[...] + (1 - self.momentum) * batch


class Function(nnx.Module):
    """A layer without weights."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, x: Any) -> Any:
        """Apply the function."""
        return self.function(x)


class Branches(nnx.Module):
    """Modules that are applied to one input and merged."""

    def __init__(self, layers: list[Any]) -> None:
        self.layers = nnx.List(layers)

    def outputs(self, x: Any) -> list[Any]:
        """Return the output of each branch."""
        return [layer(x) for layer in self.layers]


class Add(Branches):
    """Adds the branches."""

    def __call__(self, x: Any) -> Any:
        """Apply each branch to x and add the outputs."""
        return reduce(operator.add, self.outputs(x))


class Concatenate(Branches):
    """Concatenates the branches along the channels."""

    def __call__(self, x: Any) -> Any:
        """Apply each branch to x and concatenate the outputs."""
        return jnp.concatenate(self.outputs(x), -1)


class Multiply(Branches):
    """Multiplies the branches; a branch (n, c) scales the channels of branches that are maps."""

    def __call__(self, x: Any) -> Any:
        """Apply each branch to x and multiply the outputs."""
        return multiplied(self.outputs(x), lambda vector: vector[:, None, None])
