"""Residual networks, whose blocks learn what to add to their input.

ResNet (He, Zhang, Ren and Sun, 2016a); SE-ResNet, whose blocks weigh their channels (Hu, Shen and
Sun, 2018); and Wide ResNet, with few, wide pre-activation blocks (Zagoruyko and Komodakis, 2016).
"""

from __future__ import annotations

from collections.abc import Callable

from bench.spec.layers import (
    Activation,
    BatchNorm,
    Conv,
    Identity,
    Layer,
    MaxPool,
    add,
    sequential,
)
from bench.spec.models.blocks import (
    Layers,
    classifier,
    conv_norm,
    conv_norm_act,
    norm_act_conv,
    squeeze_excite,
)

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


def imagenet_stem() -> Layers:
    """From 224x224 to 56x56."""
    return (*conv_norm_act(64, 7, stride=2), MaxPool(3, 2, "same"))


def small_stem() -> Layers:
    """From 28x28 to 14x14."""
    return (*conv_norm_act(16, 3), MaxPool(2))


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


def se_bottleneck(inputs: int, outputs: int, stride: int) -> Layer:
    """A bottleneck block whose body ends in a squeeze-and-excitation gate."""
    gate = squeeze_excite(outputs, outputs // 16)
    return residual(inputs, outputs, stride, (*bottleneck_body(outputs, stride), gate))


def se_resnet50(classes: int = 1000) -> Layer:
    """ResNet-50 with a gate in each block: 28,088,024 parameters for 224x224x3."""
    body = resnet(imagenet_stem(), 64, se_bottleneck, (256, 512, 1024, 2048), (3, 4, 6, 3))
    return sequential(*body, *classifier(classes))


def se_resnet_small(classes: int = 10) -> Layer:
    """Three bottleneck blocks with a gate each, for 28x28."""
    body = resnet(small_stem(), 16, se_bottleneck, (64, 128), (1, 2))
    return sequential(*body, *classifier(classes))


def pre_activated(inputs: int, outputs: int, stride: int) -> Layer:
    """Two 3x3 convolutions, each after normalisation and ReLU.

    If the shape changes, the input of the 1x1 shortcut is also normalised and activated.
    """
    if inputs == outputs and stride == 1:
        return add(Identity(), sequential(*norm_act_conv(outputs, 3), *norm_act_conv(outputs, 3)))
    shortcut = Conv(outputs, 1, stride, bias=False)
    first = Conv(outputs, 3, stride, bias=False)
    body = sequential(first, *norm_act_conv(outputs, 3))
    return sequential(BatchNorm(), Activation("relu"), add(shortcut, body))


def wide_resnet(classes: int, stem: int, widths: tuple[int, ...], depths: tuple[int, ...]) -> Layer:
    """A 3x3 convolution, stages of blocks, and a classifier; no dropout.

    Args:
        classes: number of logits.
        stem: filters of the first convolution.
        widths: channels of each stage; every stage but the first halves the map.
        depths: blocks of each stage.
    """
    body = resnet((Conv(stem, 3, bias=False),), stem, pre_activated, widths, depths)
    return sequential(*body, BatchNorm(), Activation("relu"), *classifier(classes))


def wrn28_10(classes: int = 10) -> Layer:
    """28 layers, ten times wider than the first ResNets: 36,479,194 parameters for 32x32x3."""
    return wide_resnet(classes, stem=16, widths=(160, 320, 640), depths=(4, 4, 4))


def wrn_small(classes: int = 10) -> Layer:
    """Four blocks, twice as wide as their stem, for 28x28."""
    return wide_resnet(classes, stem=4, widths=(8, 16, 32), depths=(2, 1, 1))
