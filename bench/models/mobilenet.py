"""MobileNets: convolutions split into one filter a channel and a mix of the channels."""

from __future__ import annotations

from bench.models.blocks import (
    classifier,
    conv_norm_act,
    depthwise_norm_act,
)
from bench.models.inverted import Stage, inverted_residuals
from bench.spec.layers import Layer, sequential


def mobilenet_v1(classes: int = 1000) -> Layer:
    """Depthwise separable convolutions (Howard et al., 2017): 4,231,976 parameters, 224x224x3."""
    widths = (64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
    strides = (1, 2, 1, 2, 1, 2, *[1] * 5, 2, 1)
    return _separable(classes, 32, 2, widths, strides)


def mobilenet_v1_small(classes: int = 10) -> Layer:
    """Four depthwise separable convolutions, for 28x28."""
    return _separable(classes, 16, 1, widths=(32, 64, 64, 128), strides=(1, 2, 1, 2))


def _separable(
    classes: int, stem: int, stem_stride: int, widths: tuple[int, ...], strides: tuple[int, ...]
) -> Layer:
    body: list[Layer] = [*conv_norm_act(stem, 3, stem_stride)]
    for width, stride in zip(widths, strides, strict=True):
        body += [*depthwise_norm_act(3, stride), *conv_norm_act(width, 1)]
    return sequential(*body, *classifier(classes))


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
    return sequential(
        *conv_norm_act(32, 3, 2, "relu6"),
        *inverted_residuals(32, stages, "relu6"),
        *conv_norm_act(1280, 1, function="relu6"),
        *classifier(classes, dropout=0.2),
    )


def mobilenet_v2_small(classes: int = 10) -> Layer:
    """Four inverted residuals, for 28x28."""
    stages = (Stage(1, 16, 1, 1), Stage(4, 24, 2, 2), Stage(4, 32, 1, 2))
    return sequential(
        *conv_norm_act(16, 3, function="relu6"),
        *inverted_residuals(16, stages, "relu6"),
        *conv_norm_act(128, 1, function="relu6"),
        *classifier(classes, dropout=0.2),
    )
