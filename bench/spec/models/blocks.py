"""The blocks that several families share, as sequences of layers for a `Sequential`."""

from __future__ import annotations

from bench.spec.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    GlobalAvgPool,
    Identity,
    Layer,
    Multiply,
    multiply,
    sequential,
)

Layers = tuple[Layer, ...]


def conv_norm(filters: int, kernel: int, stride: int = 1) -> Layers:
    """Return a convolution and its normalisation, which makes a bias redundant."""
    return Conv(filters, kernel, stride, bias=False), BatchNorm()


def conv_norm_act(filters: int, kernel: int, stride: int = 1, function: str = "relu") -> Layers:
    """Return convolution, normalisation and activation."""
    return (*conv_norm(filters, kernel, stride), Activation(function))


def depthwise_norm_act(kernel: int, stride: int = 1, function: str = "relu") -> Layers:
    """Return depthwise convolution, normalisation and activation."""
    return DepthwiseConv(kernel, stride, bias=False), BatchNorm(), Activation(function)


def norm_act_conv(filters: int, kernel: int) -> Layers:
    """Return normalisation, ReLU and convolution, the pre-activation order (He et al., 2016b)."""
    return BatchNorm(), Activation("relu"), Conv(filters, kernel, bias=False)


def squeeze_excite(channels: int, squeezed: int, function: str = "relu") -> Multiply:
    """Scale each channel by a gate computed from the means of all channels (Hu et al., 2018)."""
    gate = sequential(
        GlobalAvgPool(),
        Dense(squeezed),
        Activation(function),
        Dense(channels),
        Activation("sigmoid"),
    )
    return multiply(Identity(), gate)


def classifier(classes: int, dropout: float = 0.0) -> Layers:
    """Return the mean of each channel and a dense layer with one logit per class."""
    drop = (Dropout(dropout),) if dropout else ()
    return GlobalAvgPool(), *drop, Dense(classes)
