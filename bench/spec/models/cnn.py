"""Plain convolutional networks for small images."""

from __future__ import annotations

from bench.spec.layers import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    sequential,
)


def lenet5(classes: int = 10) -> Layer:
    """LeNet-5 (LeCun, Bottou, Bengio and Haffner, 1998) as it is commonly trained.

    Every feature map of the second convolution sees all of the first's, the pooling has no
    weights, and the last layer is dense where the paper has radial basis functions.
    """
    return sequential(
        Conv(6, 5),
        Activation("tanh"),
        AvgPool(2),
        Conv(16, 5, padding="valid"),
        Activation("tanh"),
        AvgPool(2),
        Flatten(),
        Dense(120),
        Activation("tanh"),
        Dense(84),
        Activation("tanh"),
        Dense(classes),
    )


def cnn(classes: int = 10, filters: tuple[int, ...] = (32, 64), units: int = 128) -> Layer:
    """A 3x3 convolution, ReLU and a halving max pool for each of `filters`, then two dense."""
    body: list[Layer] = []
    for width in filters:
        body += [Conv(width, 3), Activation("relu"), MaxPool(2)]
    return sequential(*body, Flatten(), Dense(units), Activation("relu"), Dense(classes))
