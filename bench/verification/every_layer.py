"""A small network with every kind of layer, and with strides, both paddings and groups.

All optimizers are checked on this network. It contains every kind of weight, and an update rule
treats each weight by itself, so a model's own certificate needs only one optimizer.
"""

from __future__ import annotations

from bench.spec.layers import (
    ACTIVATIONS,
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    MaxPool,
    add,
    concatenate,
    multiply,
    replace_layers,
    sequential,
)

EVERY_LAYER = "every_layer"
EVERY_LAYER_SHAPE = (21, 18, 2)
UNNORMALISED = "every_layer_unnormalised"


def every_layer() -> Layer:
    """Return the network, for images of `EVERY_LAYER_SHAPE`."""
    channel_scales = sequential(
        GlobalAvgPool(), Dense(4), Activation("relu"), Dense(16), Activation("sigmoid")
    )
    return sequential(
        Conv(8, 3, stride=2, bias=False),
        BatchNorm(momentum=0.8, epsilon=1e-3),
        concatenate(*(Activation(function) for function in ACTIVATIONS)),
        Conv(8, 3, groups=4),
        Activation("relu"),
        MaxPool(3, stride=1, padding="same"),
        # No bias before a batch normalisation: subtracting the mean removes it, so its gradient is
        # 0. Frameworks compute a rounding error instead, which Adam scales up to a full step.
        add(Identity(), sequential(DepthwiseConv(3, bias=False), BatchNorm(), Conv(8, 1))),
        concatenate(Identity(), Conv(4, 5), sequential(MaxPool(3, 1, "same"), Conv(4, 1))),
        multiply(Identity(), channel_scales),
        DepthwiseConv(3, stride=2),
        MaxPool(3, stride=2, padding="same"),
        AvgPool(2, stride=1),
        Conv(6, 2, padding="valid"),
        Dropout(0.5),
        Flatten(),
        Dense(7),
    )


def unnormalised(layer: Layer) -> Layer:
    """Return the layer without its batch normalisations."""
    return replace_layers(layer, lambda each: Identity() if isinstance(each, BatchNorm) else each)
