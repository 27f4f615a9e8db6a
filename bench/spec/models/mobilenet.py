"""MobileNets: depthwise convolutions, with one filter per channel, and 1x1 convolutions."""

from __future__ import annotations

from bench.spec.layers import Layer, sequential
from bench.spec.models.blocks import classifier, conv_norm_act, depthwise_norm_act
from bench.spec.models.inverted import Stage, inverted_residuals


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


def inverted_network(classes: int, stages: tuple[Stage, ...]) -> Layer:
    """A convolution, inverted residuals without a gate, a 1x1 convolution and a classifier."""
    return sequential(
        *conv_norm_act(32, 3, stride=2, function="relu6"),
        *inverted_residuals(32, stages, "relu6"),
        *conv_norm_act(1280, 1, function="relu6"),
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
    return inverted_network(classes, stages)


def mobilenet_v2_small(classes: int = 10) -> Layer:
    """The published form's head on its first four blocks, for 28x28."""
    return inverted_network(classes, (Stage(1, 16, 1, 1), Stage(6, 24, 2, 2), Stage(6, 32, 1, 2)))
