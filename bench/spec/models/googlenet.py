"""GoogLeNet: convolutions of several sizes side by side (Szegedy et al., 2015).

As published: convolutions with a bias and no batch normalisation, and true 5x5 convolutions. The
two local response normalisations are left out, as are the auxiliary classifiers, which are only
used in training. Neither changes the number of parameters that are used in prediction.
"""

from __future__ import annotations

from bench.spec.layers import Activation, Conv, Layer, MaxPool, concatenate, sequential
from bench.spec.models.blocks import Layers, classifier


def _conv(filters: int, kernel: int, stride: int = 1) -> Layers:
    return Conv(filters, kernel, stride), Activation("relu")


def inception(
    ones: int, threes_reduced: int, threes: int, fives_reduced: int, fives: int, pooled: int
) -> Layer:
    """Four branches over one input; each argument is the filters of one of their convolutions."""
    return concatenate(
        sequential(*_conv(ones, 1)),
        sequential(*_conv(threes_reduced, 1), *_conv(threes, 3)),
        sequential(*_conv(fives_reduced, 1), *_conv(fives, 5)),
        sequential(MaxPool(3, 1, "same"), *_conv(pooled, 1)),
    )


def googlenet(classes: int = 1000) -> Layer:
    """Inception v1: 6,998,552 parameters for 224x224x3 and 1000 classes."""
    halve = MaxPool(3, 2, "same")
    return sequential(
        *_conv(64, 7, stride=2),
        halve,
        *_conv(64, 1),
        *_conv(192, 3),
        halve,
        inception(64, 96, 128, 16, 32, 32),
        inception(128, 128, 192, 32, 96, 64),
        halve,
        inception(192, 96, 208, 16, 48, 64),
        inception(160, 112, 224, 24, 64, 64),
        inception(128, 128, 256, 24, 64, 64),
        inception(112, 144, 288, 32, 64, 64),
        inception(256, 160, 320, 32, 128, 128),
        halve,
        inception(256, 160, 320, 32, 128, 128),
        inception(384, 192, 384, 48, 128, 128),
        *classifier(classes, dropout=0.4),
    )


def googlenet_small(classes: int = 10) -> Layer:
    """One convolution and three inception modules, for 28x28."""
    halve = MaxPool(3, 2, "same")
    return sequential(
        *_conv(16, 3),
        halve,
        inception(16, 16, 32, 8, 8, 8),
        halve,
        inception(32, 24, 48, 8, 16, 16),
        inception(32, 32, 64, 8, 16, 16),
        *classifier(classes, dropout=0.4),
    )
