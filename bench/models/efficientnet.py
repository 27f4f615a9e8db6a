"""EfficientNet: gated inverted residuals, scaled in depth and width together (Tan and Le, 2019).

Stochastic depth, with which the paper trains, is left out: it is no function of one input alone.
"""

from __future__ import annotations

from bench.models.blocks import classifier, conv_norm_act
from bench.models.inverted import Stage, inverted_residuals
from bench.spec.layers import Layer, sequential


def efficientnet(
    classes: int, stem: int, stem_stride: int, stages: tuple[Stage, ...], head: int
) -> Layer:
    """A 3x3 convolution, gated inverted residuals, a 1x1 convolution and a classifier.

    Args:
        classes: number of logits.
        stem: filters of the first convolution.
        stem_stride: its stride.
        stages: the stages of inverted residuals.
        head: filters of the last convolution.
    """
    return sequential(
        *conv_norm_act(stem, 3, stem_stride, "silu"),
        *inverted_residuals(stem, stages, "silu", gated=True),
        *conv_norm_act(head, 1, function="silu"),
        *classifier(classes, dropout=0.2),
    )


def efficientnet_b0(classes: int = 1000) -> Layer:
    """The base of the family: 5,288,548 parameters for 224x224x3."""
    stages = (
        Stage(1, 16, 1, 1, kernel=3),
        Stage(6, 24, 2, 2, kernel=3),
        Stage(6, 40, 2, 2, kernel=5),
        Stage(6, 80, 3, 2, kernel=3),
        Stage(6, 112, 3, 1, kernel=5),
        Stage(6, 192, 4, 2, kernel=5),
        Stage(6, 320, 1, 1, kernel=3),
    )
    return efficientnet(classes, stem=32, stem_stride=2, stages=stages, head=1280)


def efficientnet_small(classes: int = 10) -> Layer:
    """Four gated inverted residuals, for 28x28."""
    stages = (Stage(1, 16, 1, 1), Stage(4, 24, 1, 2, kernel=5), Stage(4, 32, 2, 2))
    return efficientnet(classes, stem=16, stem_stride=1, stages=stages, head=128)
