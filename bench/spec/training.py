"""The training spec: the optimizers, the batches of each epoch and the scaling of pixels."""

from __future__ import annotations

from typing import Any, Union

import msgspec
import numpy as np

from bench.spec.layers import kind_of
from bench.spec.weights import FloatArray, IntArray


def _check(name: str, value: Any, valid: bool, expected: str) -> None:
    if not valid:
        raise ValueError(f"received {name}={value!r}, expected {expected}")


class OptimizerBase(
    msgspec.Struct, frozen=True, tag_field="kind", tag=kind_of, forbid_unknown_fields=True
):
    """The base of both optimizers, which makes them immutable and gives them a JSON form."""


class Sgd(OptimizerBase, frozen=True):
    """Stochastic gradient descent with momentum.

    For every trainable weight w with gradient g: g = g + l2 * w; v = momentum * v + g;
    w = w - learning_rate * (g + momentum * v if nesterov else v). The velocity v starts at 0 and
    does not include the learning rate (Sutskever et al., 2013, as PyTorch implements it).

    Attributes:
        learning_rate: above 0.
        momentum: factor of the velocity; 0 means no momentum.
        nesterov: whether to use Nesterov's momentum.
        l2: factor of the L2 penalty.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    l2: float = 0.0

    def __post_init__(self) -> None:
        _check("learning_rate", self.learning_rate, 0 < self.learning_rate < 1e3, "above 0")
        _check("momentum", self.momentum, 0 <= self.momentum < 1, "0 <= momentum < 1")
        _check("l2", self.l2, 0 <= self.l2 < 1, "0 <= l2 < 1")
        fits = not self.nesterov or self.momentum > 0
        _check("nesterov", self.nesterov, fits, "a momentum above 0 with nesterov")


class Adam(OptimizerBase, frozen=True):
    """Adam (Kingma and Ba, 2015) with bias correction and epsilon outside the root.

    For every trainable weight w with gradient g in step t: g = g + l2 * w;
    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g * g;
    w = w - learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).

    Attributes:
        learning_rate: above 0.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        epsilon: added to the root of the second moment.
        l2: factor of the L2 penalty.
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    l2: float = 0.0

    def __post_init__(self) -> None:
        _check("learning_rate", self.learning_rate, 0 < self.learning_rate < 1e3, "above 0")
        _check("beta1", self.beta1, 0 <= self.beta1 < 1, "0 <= beta1 < 1")
        _check("beta2", self.beta2, 0 <= self.beta2 < 1, "0 <= beta2 < 1")
        _check("epsilon", self.epsilon, 0 < self.epsilon < 1, "0 < epsilon < 1")
        _check("l2", self.l2, 0 <= self.l2 < 1, "0 <= l2 < 1")


Optimizer = Union[Sgd, Adam]


class TrainSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model is trained.

    The loss is the softmax cross-entropy of the logits, averaged over the batch. An epoch uses
    every example once, in a random order and in full batches only.

    Attributes:
        batch_size: examples per step.
        epochs: number of epochs.
        seed: determines the order of the examples.
        optimizer: the optimizer.
    """

    batch_size: int = 64
    epochs: int = 3
    seed: int = 0
    optimizer: Optimizer = Sgd()

    def __post_init__(self) -> None:
        _check("batch_size", self.batch_size, self.batch_size >= 1, "1 or more")
        _check("epochs", self.epochs, self.epochs >= 1, "1 or more")
        _check("seed", self.seed, 0 <= self.seed < 2**32, "0 <= seed < 2^32")


def epoch_batches(examples: int, train: TrainSpec, epoch: int) -> IntArray:
    """Draw the examples of each step of one epoch.

    The order depends only on the seed and the epoch. Examples that do not fill a batch are left
    out.

    Returns:
        Indices of examples, (steps, batch), int32.

    Raises:
        ValueError: there are fewer examples than one batch needs.
    """
    steps = examples // train.batch_size
    if steps == 0:
        raise ValueError(
            f"received {examples} training examples and batch size {train.batch_size}, "
            "expected at least one full batch; choose a smaller batch size"
        )
    order = np.random.default_rng([train.seed, epoch]).permutation(examples).astype(np.int32)
    return order[: steps * train.batch_size].reshape(steps, train.batch_size)


def learning_rates(train: TrainSpec, steps: int) -> FloatArray:
    """Return the learning rate of each of the next steps: (steps,), float32."""
    return np.full(steps, train.optimizer.learning_rate, np.float32)


def scale_pixels(images: IntArray) -> FloatArray:
    """Scale pixels from 0 ... 255 to -1 ... 1 as float32: (x / 255 - 0.5) / 0.5, rounded once.

    It is computed as (x - 127.5) / 127.5, in which the difference is exact. This is twice as fast
    as looking the values up in a table.
    """
    scaled: FloatArray = np.subtract(images, 127.5, dtype=np.float32)
    scaled /= 127.5
    return scaled
