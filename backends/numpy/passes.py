"""The form of a lowered layer: a forward pass that returns the output and the backward pass."""

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
