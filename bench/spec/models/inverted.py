"""Inverted residual blocks (Sandler et al., 2018), as in MobileNet v2 and EfficientNet."""

from __future__ import annotations

from typing import NamedTuple

from bench.spec.layers import Identity, Layer, add, sequential
from bench.spec.models.blocks import (
    Layers,
    conv_norm,
    conv_norm_act,
    depthwise_norm_act,
    squeeze_excite,
)


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
