"""EfficientNet: gated inverted residuals, scaled in depth and width together (Tan and Le, 2019).

The paper trains with stochastic depth, which is left out because the spec has no such layer.
"""

from __future__ import annotations

from bench.spec.layers import Layer, sequential
from bench.spec.models.blocks import classifier, conv_norm_act
from bench.spec.models.inverted import Stage, inverted_residuals


def efficientnet(classes: int, stages: tuple[Stage, ...]) -> Layer:
    """A convolution, gated inverted residuals, a 1x1 convolution and a classifier."""
    return sequential(
        *conv_norm_act(32, 3, stride=2, function="silu"),
        *inverted_residuals(32, stages, "silu", gated=True),
        *conv_norm_act(1280, 1, function="silu"),
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
    return efficientnet(classes, stages)


def efficientnet_small(classes: int = 10) -> Layer:
    """The head of B0 on its first four blocks, for 28x28."""
    stages = (Stage(1, 16, 1, 1), Stage(6, 24, 2, 2), Stage(6, 40, 1, 2, kernel=5))
    return efficientnet(classes, stages)
