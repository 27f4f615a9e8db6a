"""Networks without branches: perceptrons, LeNet-5, small convolutional networks and VGG."""

from __future__ import annotations

from bench.spec.layers import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool,
    sequential,
)


def mlp(classes: int = 10, hidden: tuple[int, ...] = (128, 64)) -> Layer:
    """Dense layers with ReLU between them: 784-128-64-10 on MNIST."""
    body: list[Layer] = [Flatten()]
    for units in hidden:
        body += [Dense(units), Activation("relu")]
    return sequential(*body, Dense(classes))


def linear_mlp(classes: int = 10, hidden: tuple[int, ...] = (128, 64)) -> Layer:
    """The same dense layers without activations, which together are one linear map."""
    return sequential(Flatten(), *map(Dense, hidden), Dense(classes))


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


def vgg(classes: int, widths: tuple[int, ...], depths: tuple[int, ...], units: int) -> Layer:
    """VGG (Simonyan and Zisserman, 2015): stages of 3x3 convolutions, and three dense layers.

    Each stage ends in a max pool that halves the map.

    Args:
        classes: number of logits.
        widths: filters of each stage.
        depths: convolutions of each stage.
        units: width of the two hidden dense layers, each with dropout of one half.
    """
    body: list[Layer] = []
    for width, depth in zip(widths, depths, strict=True):
        body += [Conv(width, 3), Activation("relu")] * depth
        body.append(MaxPool(2))
    head: list[Layer] = [Dense(units), Activation("relu"), Dropout(0.5)] * 2
    return sequential(*body, Flatten(), *head, Dense(classes))


def vgg16(classes: int = 1000) -> Layer:
    """Configuration D of the paper: 138,357,544 parameters for 224x224x3."""
    return vgg(classes, widths=(64, 128, 256, 512, 512), depths=(2, 2, 3, 3, 3), units=4096)


def vgg_small(classes: int = 10) -> Layer:
    """The first three stages of the paper's configuration A at a quarter of their width."""
    return vgg(classes, widths=(16, 32, 64), depths=(1, 1, 2), units=128)
