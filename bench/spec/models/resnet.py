"""ResNet: blocks that learn what to add to their input (He, Zhang, Ren and Sun, 2016a)."""

from __future__ import annotations

from collections.abc import Callable

from bench.spec.layers import Activation, Identity, Layer, MaxPool, add, sequential
from bench.spec.models.blocks import Layers, classifier, conv_norm, conv_norm_act

Block = Callable[[int, int, int], Layer]
"""(channels in, channels out, stride) -> layer."""


def residual(inputs: int, outputs: int, stride: int, body: Layers) -> Layer:
    """ReLU of the body plus its input, projected by a 1x1 convolution where the shape changes."""
    keeps_shape = inputs == outputs and stride == 1
    shortcut = Identity() if keeps_shape else sequential(*conv_norm(outputs, 1, stride))
    return sequential(add(shortcut, sequential(*body)), Activation("relu"))


def basic(inputs: int, outputs: int, stride: int) -> Layer:
    """Two 3x3 convolutions."""
    body = (*conv_norm_act(outputs, 3, stride), *conv_norm(outputs, 3))
    return residual(inputs, outputs, stride, body)


def bottleneck_body(outputs: int, stride: int) -> Layers:
    """A 1x1 convolution to a quarter of the width, a 3x3 one, and a 1x1 one back.

    The 3x3 convolution has the stride, as in the common implementation with 4.1 billion
    multiply-accumulates. In the paper, the first 1x1 convolution has it, which needs 3.8 billion.
    """
    middle = outputs // 4
    return (
        *conv_norm_act(middle, 1),
        *conv_norm_act(middle, 3, stride),
        *conv_norm(outputs, 1),
    )


def bottleneck(inputs: int, outputs: int, stride: int) -> Layer:
    """Three convolutions, the 3x3 one at a quarter of the width."""
    return residual(inputs, outputs, stride, bottleneck_body(outputs, stride))


def resnet(
    stem: Layers, channels: int, block: Block, widths: tuple[int, ...], depths: tuple[int, ...]
) -> Layers:
    """The layers of a ResNet before its classifier.

    Args:
        stem: the first layers.
        channels: output channels of the stem.
        block: makes one residual block.
        widths: channels of each stage; every stage but the first halves the map.
        depths: blocks of each stage.
    """
    blocks: list[Layer] = []
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            blocks.append(block(channels, width, stride))
            channels = width
    return (*stem, *blocks)


def imagenet_stem(filters: int = 64) -> Layers:
    """From 224x224 to 56x56."""
    return (*conv_norm_act(filters, 7, stride=2), MaxPool(3, 2, "same"))


def small_stem(filters: int = 16) -> Layers:
    """From 28x28 to 14x14."""
    return (*conv_norm_act(filters, 3), MaxPool(2))


def resnet18(classes: int = 1000) -> Layer:
    """Basic blocks: 11,689,512 parameters for 224x224x3."""
    body = resnet(imagenet_stem(), 64, basic, (64, 128, 256, 512), (2, 2, 2, 2))
    return sequential(*body, *classifier(classes))


def resnet50(classes: int = 1000) -> Layer:
    """Bottleneck blocks: 25,557,032 parameters for 224x224x3."""
    body = resnet(imagenet_stem(), 64, bottleneck, (256, 512, 1024, 2048), (3, 4, 6, 3))
    return sequential(*body, *classifier(classes))


def resnet_small(classes: int = 10) -> Layer:
    """Three basic blocks, for 28x28."""
    body = resnet(small_stem(), 16, basic, (16, 32), (1, 2))
    return sequential(*body, *classifier(classes))


def resnet_bottleneck_small(classes: int = 10) -> Layer:
    """Three bottleneck blocks, for 28x28."""
    body = resnet(small_stem(), 16, bottleneck, (64, 128), (1, 2))
    return sequential(*body, *classifier(classes))
