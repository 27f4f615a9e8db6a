"""SE-ResNet: residual blocks that weigh their channels (Hu, Shen and Sun, 2018)."""

from __future__ import annotations

from bench.spec.layers import Layer, sequential
from bench.spec.models.blocks import classifier, squeeze_excite
from bench.spec.models.resnet import bottleneck_body, imagenet_stem, residual, resnet, small_stem

REDUCTION = 16


def se_bottleneck(inputs: int, outputs: int, stride: int) -> Layer:
    """A bottleneck block whose body ends in a squeeze-and-excitation gate."""
    gate = squeeze_excite(outputs, outputs // REDUCTION)
    return residual(inputs, outputs, stride, (*bottleneck_body(outputs, stride), gate))


def se_resnet50(classes: int = 1000) -> Layer:
    """ResNet-50 with a gate in each block: 28,088,024 parameters for 224x224x3."""
    body = resnet(imagenet_stem(), 64, se_bottleneck, (256, 512, 1024, 2048), (3, 4, 6, 3))
    return sequential(*body, *classifier(classes))


def se_resnet_small(classes: int = 10) -> Layer:
    """Three bottleneck blocks with a gate each, for 28x28."""
    body = resnet(small_stem(), 16, se_bottleneck, (64, 128), (1, 2))
    return sequential(*body, *classifier(classes))
