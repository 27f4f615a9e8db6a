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

    Unlike in the paper, every feature map of the second convolution uses all maps of the first,
    the pooling has no weights, and the last layer is dense instead of radial basis functions.
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
    """Stack 3x3 convolution, ReLU and max pool for each of `filters`, and two dense layers."""
    body: list[Layer] = []
    for width in filters:
        body += [Conv(width, 3), Activation("relu"), MaxPool(2)]
    return sequential(*body, Flatten(), Dense(units), Activation("relu"), Dense(classes))
