"""The default choices of PaddlePaddle, read from its layers."""

from __future__ import annotations

import inspect

import paddle
from paddle import nn

from backends.lowering import canonical_kernel
from backends.native import Defaults
from backends.paddle.lowering import lower
from bench.spec.shapes import Node
from bench.spec.weights import Weights


def paddle_defaults(seed: int) -> Defaults:
    """Return the default choices; Paddle's layers draw the weights with the seed."""
    paddle.seed(seed)
    normalisation = inspect.signature(nn.BatchNorm2D).parameters
    return Defaults(
        batch_norm_momentum=normalisation["momentum"].default,
        batch_norm_epsilon=normalisation["epsilon"].default,
        adam_epsilon=inspect.signature(paddle.optimizer.Adam).parameters["epsilon"].default,
        initialize=_initialize,
        words={
            "dense kernel": "Glorot uniform",
            "convolution kernel": "normal, variance 2 / fan-in",
            "bias": "zeros",
        },
    )


def _initialize(node: Node) -> Weights:
    names = {"weight": "kernel", "bias": "bias"}
    parameters = lower(node).named_parameters()
    return {names[name]: canonical_kernel(value.numpy()) for name, value in parameters}
