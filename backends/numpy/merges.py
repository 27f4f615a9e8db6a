"""Merges of branches over one input: sum, concatenation and product."""

from __future__ import annotations

from typing import Optional

import numpy as np

from backends.numpy.passes import Backward, Forward
from bench.spec.weights import FloatArray


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
