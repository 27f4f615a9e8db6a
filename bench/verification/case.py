"""What both sides of a check are given: the model, weights that hide nothing, and batches."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from bench.spec.layers import Dropout, Layer
from bench.spec.shapes import Node, Shape, resolve
from bench.spec.training import Adam, Optimizer, Sgd
from bench.spec.weights import FloatArray, IntArray, Weights, initial_weights

BATCH = 8
STEPS = (1, 10, 50)  # after which the weights are compared
CALLS = (*[1] * 10, *[10] * 4)  # the number of steps of each call
# The rate falls between the fifth and the sixth step: an optimizer whose velocity holds the rate
# goes another way from there.
RATE_FALLS_AFTER = 5

# Each rule of update that the spec knows, with settings that make it count: an epsilon that is not
# lost beside the root, and a penalty that moves the weights as much as the gradient does. The rates
# are small, so that few values cross a kink of ReLU or another maximum of a pool in 50 steps: where
# one crosses a step earlier than in the reference, correct implementations part.
OPTIMIZERS: dict[str, Optimizer] = {
    "SGD with momentum": Sgd(learning_rate=0.001, momentum=0.9),
    "SGD with Nesterov momentum": Sgd(learning_rate=0.001, momentum=0.9, nesterov=True),
    "SGD with L2": Sgd(learning_rate=0.001, momentum=0.9, l2=0.1),
    "Adam": Adam(learning_rate=0.0003, epsilon=1e-2, l2=0.01),
}


class Case(NamedTuple):
    """One model and all that both sides are given.

    Attributes:
        model: resolved, without dropout.
        weights: by address, float32, none of them at a value that hides a fault.
        images: (examples, ...) float32 in -1 to 1; maps have an even background of 0 at two edges.
        labels: (examples,) int32.
        batches: (50, batch) int32 indices; no batch is like the one before.
    """

    model: Node
    weights: Weights
    images: FloatArray
    labels: IntArray
    batches: IntArray


def make_case(layer: Layer, input_shape: Shape) -> Case:
    """The case of a model for images of a shape (without the batch), the same at every call."""
    random = np.random.default_rng(20_260_101)
    model = resolve(without_dropout(layer), input_shape)
    examples = BATCH * 10
    order = np.concatenate([random.permutation(examples) for _ in range(STEPS[-1] // 10)])
    return Case(
        model=model,
        weights=shaken(initial_weights(model, seed=1), random),
        images=_images((examples, *input_shape), random),
        labels=random.integers(0, model.output_shape[-1], examples).astype(np.int32),
        batches=order.reshape(-1, BATCH).astype(np.int32),
    )


def _images(shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """Random values; in maps, a third of each side from the top and from the left is 0.

    Data such as MNIST have an even background: all values in a window of a pooling are equal there,
    which random values never are. At the other edges values meet the padding: with 0 all around,
    the sum of a convolution would not tell one arrangement of the kernel from another.
    """
    images: FloatArray = random.uniform(-1, 1, shape).astype(np.float32)
    for axis in range(1, len(shape) - 1):
        np.moveaxis(images, axis, 0)[: shape[axis] // 3] = 0
    return images


# What a model is trained with where the question is the model and not the optimizer. Deep networks
# with batch normalisation part sooner: NumPy in float32 and in float64 differ by 2e-3 after 50
# steps at the rates above, and by 8e-5 at these.
USUAL: dict[str, Optimizer] = {"SGD with momentum": Sgd(learning_rate=1e-4, momentum=0.9)}
_CAREFUL_ADAM_RATE = 3e-5


def careful(optimizer: Optimizer) -> Optimizer:
    """The optimizer with a rate that is small enough to compare 50 steps."""
    rate = USUAL["SGD with momentum"].learning_rate
    if isinstance(optimizer, Adam):
        rate = _CAREFUL_ADAM_RATE
    return msgspec.structs.replace(optimizer, learning_rate=rate)


def rates(optimizer: Optimizer) -> FloatArray:
    """The learning rate of each of the 50 steps: (50,) float32, halved after the fifth."""
    values = np.full(STEPS[-1], optimizer.learning_rate, np.float32)
    values[RATE_FALLS_AFTER:] /= 2
    return values


def without_dropout(layer: Layer) -> Layer:
    """The layer with every dropout rate 0: random streams cannot agree between frameworks."""
    if isinstance(layer, Dropout):
        return Dropout(0.0)
    parts = getattr(layer, "parts", None)
    if parts is None:
        return layer
    return msgspec.structs.replace(layer, parts=tuple(without_dropout(part) for part in parts))


def shaken(weights: Weights, random: np.random.Generator) -> Weights:
    """The weights with those that start constant moved off 0 and 1.

    A bias of 0 or a running variance of 1 would hide that a backend ignores it.
    """
    return {
        name: value if value.std() > 0 and value.ndim > 1 else _moved(value, random)
        for name, value in weights.items()
    }


def _moved(value: FloatArray, random: np.random.Generator) -> FloatArray:
    moved: FloatArray = (value + random.uniform(-0.2, 0.2, value.shape)).astype(np.float32)
    return moved
