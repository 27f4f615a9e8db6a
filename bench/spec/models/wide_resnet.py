"""Wide ResNet: few, wide pre-activation residual blocks (Zagoruyko and Komodakis, 2016)."""

from __future__ import annotations

from bench.spec.layers import Activation, BatchNorm, Conv, Identity, Layer, add, sequential
from bench.spec.models.blocks import classifier, norm_act_conv
from bench.spec.models.resnet import resnet


def _block(inputs: int, outputs: int, stride: int) -> Layer:
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
    body = resnet((Conv(stem, 3, bias=False),), stem, _block, widths, depths)
    return sequential(*body, BatchNorm(), Activation("relu"), *classifier(classes))


def wrn28_10(classes: int = 10) -> Layer:
    """28 layers, ten times wider than the first ResNets: 36,479,194 parameters for 32x32x3."""
    return wide_resnet(classes, stem=16, widths=(160, 320, 640), depths=(4, 4, 4))


def wrn_small(classes: int = 10) -> Layer:
    """Four blocks, twice as wide as their stem, for 28x28."""
    return wide_resnet(classes, stem=4, widths=(8, 16, 32), depths=(2, 1, 1))
