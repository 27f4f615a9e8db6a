"""VGG: stacks of 3x3 convolutions (Simonyan and Zisserman, 2015)."""

from __future__ import annotations

from bench.spec.layers import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool,
    sequential,
)


def vgg(classes: int, widths: tuple[int, ...], depths: tuple[int, ...], units: int) -> Layer:
    """Stack 3x3 convolutions and a halving max pool per stage, and three dense layers.

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
