"""A network of a few pixels with every layer of the vocabulary, every stride, padding and group.

Each optimizer is checked on it: a rule of update sees one weight after the other, and every kind
of weight is here. A model's own certificate then needs one optimizer.
"""

from __future__ import annotations

import msgspec

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
    sequential,
)

EVERY_LAYER = "every_layer"
EVERY_LAYER_SHAPE = (21, 18, 2)
UNNORMALISED = "every_layer_unnormalised"


def every_layer() -> Layer:
    """The network, for images of `EVERY_LAYER_SHAPE`."""
    gate = sequential(
        GlobalAvgPool(), Dense(4), Activation("relu"), Dense(16), Activation("sigmoid")
    )
    return sequential(
        Conv(8, 3, stride=2, bias=False),
        BatchNorm(momentum=0.8, epsilon=1e-3),
        concatenate(*(Activation(function) for function in ACTIVATIONS)),
        Conv(8, 3, groups=4),
        Activation("relu"),
        MaxPool(3, stride=1, padding="same"),
        # No bias before a batch normalisation, which takes it out again: its gradient is 0, and
        # what a framework computes instead is rounding, which Adam makes large.
        add(Identity(), sequential(DepthwiseConv(3, bias=False), BatchNorm(), Conv(8, 1))),
        concatenate(Identity(), Conv(4, 5), sequential(MaxPool(3, 1, "same"), Conv(4, 1))),
        multiply(Identity(), gate),
        DepthwiseConv(3, stride=2),
        MaxPool(3, stride=2, padding="same"),
        AvgPool(2, stride=1),
        Conv(6, 2, padding="valid"),
        Dropout(0.5),
        Flatten(),
        Dense(7),
    )


def unnormalised(layer: Layer) -> Layer:
    """The layer with every batch normalisation taken out."""
    if isinstance(layer, BatchNorm):
        return Identity()
    parts = getattr(layer, "parts", None)
    if parts is None:
        return layer
    return msgspec.structs.replace(layer, parts=tuple(unnormalised(part) for part in parts))
