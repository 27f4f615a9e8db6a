"""Multilayer perceptrons on flattened images."""

from __future__ import annotations

from bench.spec.layers import Activation, Dense, Flatten, Layer, sequential


def mlp(classes: int = 10, hidden: tuple[int, ...] = (128, 64)) -> Layer:
    """Dense layers with ReLU between them: 784-128-64-10 on MNIST."""
    body: list[Layer] = [Flatten()]
    for units in hidden:
        body += [Dense(units), Activation("relu")]
    return sequential(*body, Dense(classes))


def linear_mlp(classes: int = 10, hidden: tuple[int, ...] = (128, 64)) -> Layer:
    """The same dense layers without activations, which together are one linear map."""
    return sequential(Flatten(), *map(Dense, hidden), Dense(classes))
