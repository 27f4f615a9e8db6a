"""The form of a lowered layer, and its compositions: chains, biases and merges of branches.

A lowered layer is a forward pass that returns the output and the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

import numpy as np

from backends.numpy.weights import Parameter
from bench.spec.weights import FloatArray

# From the loss's gradient by a layer's output, dy, to the gradient by its input, dx. Also writes
# the gradients of the layer's weights. Returns None instead of dx where it is not needed, because
# no earlier layer is trained. Must not change dy, which other branches may read too.
Backward = Callable[[FloatArray], Optional[FloatArray]]

# From (x, training) to (y, backward). Must not change x, which other branches may read too.
Forward = Callable[[FloatArray, bool], tuple[FloatArray, Backward]]


def channel_sum(x: FloatArray) -> FloatArray:
    """Sum over all axes but the last: (..., c) -> (c,).

    Multiplies by ones: BLAS is several times faster than NumPy's sum, and as accurate.
    """
    rows = x.reshape(-1, x.shape[-1])
    total: FloatArray = np.ones(len(rows), x.dtype) @ rows
    return total


def chain(parts: list[Forward]) -> Forward:
    """Apply each part to the output of the previous one; backward in reverse order."""

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        backwards = []
        for part in parts:
            x, part_backward = part(x, training)
            backwards.append(part_backward)

        def backward(dy: FloatArray) -> Optional[FloatArray]:
            gradient: Optional[FloatArray] = dy
            for part_backward in reversed(backwards):
                if gradient is None:
                    break
                gradient = part_backward(gradient)
            return gradient

        return x, backward

    return forward


def biased(product: Forward, bias: Parameter) -> Forward:
    """Add the bias, y = product(x) + b; db is the sum of dy over the batch and the image."""

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        y, product_backward = product(x, training)
        y += bias.value

        def backward(dy: FloatArray) -> Optional[FloatArray]:
            bias.gradient[:] = channel_sum(dy)
            return product_backward(dy)

        return y, backward

    return forward


def elementwise(
    function: Callable[[FloatArray], tuple[FloatArray, Callable[[FloatArray], FloatArray]]],
) -> Forward:
    """Lower a function without weights that is the same in training and inference."""

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        return function(x)

    return forward


def _run(
    branches: list[Forward], x: FloatArray, training: bool
) -> tuple[list[FloatArray], list[Backward]]:
    """Run every branch on the same input; return the outputs and the backward passes."""
    passes = [branch(x, training) for branch in branches]
    return [y for y, _ in passes], [backward for _, backward in passes]


def _total(gradients: list[Optional[FloatArray]]) -> Optional[FloatArray]:
    """Add the branches' gradients by their common input; None if it is not needed."""
    total: Optional[FloatArray] = gradients[0]
    for gradient in gradients[1:]:
        total = None if total is None or gradient is None else total + gradient
    return total


def add(branches: list[Forward]) -> Forward:
    """Add the branches: each receives all of dy."""

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        outputs, backwards = _run(branches, x, training)
        y = outputs[0]
        for output in outputs[1:]:
            y = y + output
        return y, lambda dy: _total([backward(dy) for backward in backwards])

    return forward


def concatenate(branches: list[Forward]) -> Forward:
    """Concatenate the branches along the channels: each receives its channels of dy."""

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        outputs, backwards = _run(branches, x, training)
        bounds = np.cumsum([output.shape[-1] for output in outputs])[:-1]

        def backward(dy: FloatArray) -> Optional[FloatArray]:
            shares = np.split(dy, bounds, axis=-1)
            return _total([part(share) for part, share in zip(backwards, shares)])

        return np.concatenate(outputs, axis=-1), backward

    return forward


def multiply(branches: list[Forward]) -> Forward:
    """Multiply the branches: each receives dy times the product of the others.

    A branch of shape (c,) scales the channels of a map and receives the sum over the map.
    """

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        outputs, backwards = _run(branches, x, training)
        rank = max(output.ndim for output in outputs)
        factors = [_spread(output, rank) for output in outputs]

        def backward(dy: FloatArray) -> Optional[FloatArray]:
            gradients = []
            for index, (output, part) in enumerate(zip(outputs, backwards)):
                others = factors[:index] + factors[index + 1 :]
                gradients.append(part(_gather(_product([dy, *others]), output)))
            return _total(gradients)

        return _product(factors), backward

    return forward


def _product(factors: list[FloatArray]) -> FloatArray:
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product


def _spread(output: FloatArray, rank: int) -> FloatArray:
    """Return (n, c) as (n, 1, 1, c) where other branches are maps."""
    return output if output.ndim == rank else output[:, None, None, :]


def _gather(gradient: FloatArray, output: FloatArray) -> FloatArray:
    """Reverse `_spread` for a gradient: sum over the map for an output (n, c)."""
    if gradient.ndim == output.ndim:
        return gradient
    total: FloatArray = gradient.sum(axis=(1, 2))
    return total
