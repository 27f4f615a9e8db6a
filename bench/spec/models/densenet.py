"""DenseNet: every layer uses the feature maps of all layers before it (Huang et al., 2017)."""

from __future__ import annotations

from bench.spec.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Identity,
    Layer,
    concatenate,
    sequential,
)
from bench.spec.models.blocks import Layers, classifier, norm_act_conv
from bench.spec.models.resnet import imagenet_stem, small_stem


def dense_layer(growth: int) -> Layer:
    """Concatenate the input and `growth` new channels from a bottleneck four times as wide."""
    new = sequential(*norm_act_conv(4 * growth, 1), *norm_act_conv(growth, 3))
    return concatenate(Identity(), new)


def densenet(
    classes: int, stem: Layers, channels: int, growth: int, depths: tuple[int, ...]
) -> Layer:
    """Dense blocks with transitions between them that halve the channels and the map.

    Args:
        classes: number of logits.
        stem: the first layers.
        channels: what the stem gives.
        growth: channels that each layer adds.
        depths: layers of each dense block.
    """
    body: list[Layer] = []
    for block, depth in enumerate(depths):
        if block > 0:
            channels //= 2
            body += [*norm_act_conv(channels, 1), AvgPool(2)]
        body += [dense_layer(growth)] * depth
        channels += depth * growth
    return sequential(*stem, *body, BatchNorm(), Activation("relu"), *classifier(classes))


def densenet121(classes: int = 1000) -> Layer:
    """The paper's DenseNet-BC with growth 32: 7,978,856 parameters for 224x224x3."""
    return densenet(classes, imagenet_stem(), channels=64, growth=32, depths=(6, 12, 24, 16))


def densenet_small(classes: int = 10) -> Layer:
    """Two dense blocks with growth 8, for 28x28."""
    return densenet(classes, small_stem(), channels=16, growth=8, depths=(2, 3))
