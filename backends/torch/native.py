"""The default choices of PyTorch, read from its modules."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from backends.native import Defaults
from backends.torch.lowering import lower
from backends.torch.weights import canonical_array
from bench.spec.shapes import Node
from bench.spec.weights import Weights


def torch_defaults(seed: int) -> Defaults:
    """Return the default choices; PyTorch's modules draw the weights with the seed."""
    torch.manual_seed(seed)
    normalisation = nn.BatchNorm2d(1)
    drawn = "uniform, up to 1 / sqrt(fan-in)"
    return Defaults(
        # PyTorch's momentum is the weight of the new statistics.
        batch_norm_momentum=1 - float(normalisation.momentum or 0),
        batch_norm_epsilon=normalisation.eps,
        adam_epsilon=inspect.signature(torch.optim.Adam).parameters["eps"].default,
        initialize=_initialize,
        words={"dense kernel": drawn, "convolution kernel": drawn, "bias": drawn},
    )


def _initialize(node: Node) -> Weights:
    names = {"weight": "kernel", "bias": "bias"}
    parameters = lower(node).named_parameters()
    return {names[name]: canonical_array(value) for name, value in parameters}
