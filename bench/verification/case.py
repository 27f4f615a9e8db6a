"""The input of a check, equal for the backend and the reference: model, weights and batches.

All optimizers are checked on a small network with every kind of layer, and with strides, both
paddings and groups. It contains every kind of weight, and an update rule treats each weight by
itself, so a model's own certificate needs only one optimizer.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

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
from bench.spec.shapes import Node, Shape, resolve
from bench.spec.training import Adam, Optimizer, Sgd
from bench.spec.weights import FloatArray, IntArray, Weights, initial_weights

EVERY_LAYER = "every_layer"
EVERY_LAYER_SHAPE = (21, 18, 2)
UNNORMALISED = "every_layer_unnormalised"

BATCH = 8
STEPS = (1, 10, 50)  # the weights are compared after so many steps
CALLS = (*[1] * 10, *[10] * 4)  # number of steps of each training call
# The learning rate is halved after the fifth step. An optimizer whose velocity includes the rate
# gives other weights from then on.
RATE_FALLS_AFTER = 5

# Every update rule of the spec, with settings under which each term matters: an epsilon that is not
# negligible next to the root, and a penalty that is as large as the gradient. The rates are so
# small that few values cross the kink of a ReLU, or change the maximum of a pool, within 50 steps.
# Where rounding makes a value cross one step earlier than in the reference, even correct
# implementations diverge.
OPTIMIZERS: dict[str, Optimizer] = {
    "SGD with momentum": Sgd(learning_rate=0.001, momentum=0.9),
    "SGD with Nesterov momentum": Sgd(learning_rate=0.001, momentum=0.9, nesterov=True),
    "SGD with L2": Sgd(learning_rate=0.001, momentum=0.9, l2=0.1),
    "Adam": Adam(learning_rate=0.0003, epsilon=1e-2, l2=0.01),
}

# The optimizer of checks that are about the model. Its rate is smaller than those above, because
# deep networks with batch normalisation diverge sooner: after 50 steps, NumPy in float32 and in
# float64 differ by 2e-3 at the rates above and by 8e-5 at this one.
_SMALL_SGD_RATE = 1e-4
_SMALL_ADAM_RATE = 3e-5
ONE_OPTIMIZER: dict[str, Optimizer] = {
    "SGD with momentum": Sgd(learning_rate=_SMALL_SGD_RATE, momentum=0.9)
}


class Case(NamedTuple):
    """The input of a check.

    Attributes:
        model: the resolved model, without dropout.
        weights: initial weights by address, float32; none of them is constant.
        images: (examples, ...) float32 in -1 to 1; maps are 0 along their top and left edges.
        labels: (examples,) int32.
        batches: (50, batch) int32 indices of images; no two batches are equal.
    """

    model: Node
    weights: Weights
    images: FloatArray
    labels: IntArray
    batches: IntArray


def make_case(layer: Layer, input_shape: Shape) -> Case:
    """Create the case of a model. It is the same at every call.

    Args:
        layer: the model; its dropout rates are set to 0.
        input_shape: shape of an image, without the batch.
    """
    random = np.random.default_rng(20_260_101)
    model = resolve(without_dropout(layer), input_shape)
    examples = BATCH * 10
    order = np.concatenate([random.permutation(examples) for _ in range(STEPS[-1] // 10)])
    return Case(
        model=model,
        weights=perturb_constants(initial_weights(model, seed=1), random),
        images=_images((examples, *input_shape), random),
        labels=random.integers(0, model.output_shape[-1], examples).astype(np.int32),
        batches=order.reshape(-1, BATCH).astype(np.int32),
    )


def _images(shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """Create random images; in maps, the top third and the left third are 0.

    Data sets such as MNIST have a constant background, where all values in a pooling window are
    equal, which never happens with random values. The bottom and right edges remain random: with 0
    along all edges, the average of a convolution over all positions, which `locate.prefix_case`
    compares, would be the same for a flipped or transposed kernel.
    """
    images: FloatArray = random.uniform(-1, 1, shape).astype(np.float32)
    for axis in range(1, len(shape) - 1):
        np.moveaxis(images, axis, 0)[: shape[axis] // 3] = 0
    return images


def with_small_rate(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer with a learning rate at which 50 steps can be compared."""
    rate = _SMALL_ADAM_RATE if isinstance(optimizer, Adam) else _SMALL_SGD_RATE
    return msgspec.structs.replace(optimizer, learning_rate=rate)


def rates(optimizer: Optimizer) -> FloatArray:
    """Return the learning rate of each step: (50,) float32, halved after the fifth."""
    values = np.full(STEPS[-1], optimizer.learning_rate, np.float32)
    values[RATE_FALLS_AFTER:] /= 2
    return values


def without_dropout(layer: Layer) -> Layer:
    """Return the layer with all dropout rates 0: frameworks draw different random numbers."""
    return replace_layers(layer, lambda each: Dropout(0.0) if isinstance(each, Dropout) else each)


def perturb_constants(weights: Weights, random: np.random.Generator) -> Weights:
    """Add noise to the weights that start as a constant or a vector.

    A backend that ignores a bias of 0 or a running variance of 1 would otherwise pass.
    """
    return {
        name: value if value.std() > 0 and value.ndim > 1 else _perturb(value, random)
        for name, value in weights.items()
    }


def _perturb(value: FloatArray, random: np.random.Generator) -> FloatArray:
    perturbed: FloatArray = (value + random.uniform(-0.2, 0.2, value.shape)).astype(np.float32)
    return perturbed


def every_layer() -> Layer:
    """Return the network with every kind of layer, for images of `EVERY_LAYER_SHAPE`."""
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
