"""Networks of depthwise convolutions: MobileNet v1 and v2, and EfficientNet.

MobileNet v2 and EfficientNet consist of inverted residual blocks (Sandler et al., 2018).
EfficientNet adds gates and scales depth and width together (Tan and Le, 2019). Its paper trains
with stochastic depth, which is left out because the spec has no such layer.
"""

from __future__ import annotations

from typing import NamedTuple

from bench.spec.layers import Identity, Layer, add, sequential
from bench.spec.models.blocks import (
    Layers,
    classifier,
    conv_norm,
    conv_norm_act,
    depthwise_norm_act,
    squeeze_excite,
)


def separable_network(classes: int, widths: tuple[int, ...], strides: tuple[int, ...]) -> Layer:
    """A convolution, then a depthwise and a 1x1 convolution for each of `widths`.

    Args:
        classes: number of logits.
        widths: filters of each 1x1 convolution.
        strides: of each depthwise convolution.
    """
    body: list[Layer] = [*conv_norm_act(32, 3, stride=2)]
    for width, stride in zip(widths, strides, strict=True):
        body += [*depthwise_norm_act(3, stride), *conv_norm_act(width, 1)]
    return sequential(*body, *classifier(classes))


def mobilenet_v1(classes: int = 1000) -> Layer:
    """Depthwise separable convolutions (Howard et al., 2017): 4,231,976 parameters, 224x224x3."""
    widths = (64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
    strides = (1, 2, 1, 2, 1, 2, *[1] * 5, 2, 1)
    return separable_network(classes, widths, strides)


def mobilenet_v1_small(classes: int = 10) -> Layer:
    """The published form up to its fourth block, for 28x28."""
    return separable_network(classes, widths=(64, 128, 128, 256), strides=(1, 2, 1, 2))


class Stage(NamedTuple):
    """Blocks of one width.

    Attributes:
        expansion: how many times wider a block is in its middle; 1 omits the widening.
        channels: output channels of each block.
        depth: the number of blocks.
        stride: of the first block; the others have 1.
        kernel: of the depthwise convolutions.
    """

    expansion: int
    channels: int
    depth: int
    stride: int
    kernel: int = 3


def inverted_residuals(
    channels: int, stages: tuple[Stage, ...], function: str, gated: bool = False
) -> Layers:
    """The blocks of all stages.

    Args:
        channels: of the input.
        stages: the stages in order.
        function: the activation.
        gated: whether each block has a squeeze-and-excitation gate.
    """
    blocks: list[Layer] = []
    for stage in stages:
        for index in range(stage.depth):
            stride = stage.stride if index == 0 else 1
            blocks.append(_block(channels, stage, stride, function, gated))
            channels = stage.channels
    return tuple(blocks)


def _block(inputs: int, stage: Stage, stride: int, function: str, gated: bool) -> Layer:
    """Widen, filter each channel and narrow without activation; add the input if shapes agree.

    The gate has a quarter of the channels of the block's input (Tan and Le, 2019).
    """
    middle = inputs * stage.expansion
    widen = conv_norm_act(middle, 1, function=function) if stage.expansion > 1 else ()
    gate = (squeeze_excite(middle, inputs // 4, function),) if gated else ()
    body = sequential(
        *widen,
        *depthwise_norm_act(stage.kernel, stride, function),
        *gate,
        *conv_norm(stage.channels, 1),
    )
    keeps_shape = inputs == stage.channels and stride == 1
    return add(Identity(), body) if keeps_shape else body


def inverted_network(
    classes: int, stages: tuple[Stage, ...], function: str, gated: bool = False
) -> Layer:
    """A convolution, inverted residuals, a 1x1 convolution and a classifier."""
    return sequential(
        *conv_norm_act(32, 3, stride=2, function=function),
        *inverted_residuals(32, stages, function, gated),
        *conv_norm_act(1280, 1, function=function),
        *classifier(classes, dropout=0.2),
    )


def mobilenet_v2(classes: int = 1000) -> Layer:
    """Inverted residuals (Sandler et al., 2018): 3,504,872 parameters for 224x224x3."""
    stages = (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 2, 2),
        Stage(6, 32, 3, 2),
        Stage(6, 64, 4, 2),
        Stage(6, 96, 3, 1),
        Stage(6, 160, 3, 2),
        Stage(6, 320, 1, 1),
    )
    return inverted_network(classes, stages, "relu6")


def mobilenet_v2_small(classes: int = 10) -> Layer:
    """The published form's head on its first four blocks, for 28x28."""
    stages = (Stage(1, 16, 1, 1), Stage(6, 24, 2, 2), Stage(6, 32, 1, 2))
    return inverted_network(classes, stages, "relu6")


def efficientnet_b0(classes: int = 1000) -> Layer:
    """The base of the EfficientNets: 5,288,548 parameters for 224x224x3."""
    stages = (
        Stage(1, 16, 1, 1, kernel=3),
        Stage(6, 24, 2, 2, kernel=3),
        Stage(6, 40, 2, 2, kernel=5),
        Stage(6, 80, 3, 2, kernel=3),
        Stage(6, 112, 3, 1, kernel=5),
        Stage(6, 192, 4, 2, kernel=5),
        Stage(6, 320, 1, 1, kernel=3),
    )
    return inverted_network(classes, stages, "silu", gated=True)


def efficientnet_small(classes: int = 10) -> Layer:
    """The head of B0 on its first four blocks, for 28x28."""
    stages = (Stage(1, 16, 1, 1), Stage(6, 24, 2, 2), Stage(6, 40, 1, 2, kernel=5))
    return inverted_network(classes, stages, "silu", gated=True)
