"""Weights between the canonical layout and torch's.

torch stores a Dense kernel as (out, in) and a convolution kernel as (out, in / groups, height,
width). A permuted view of either has the canonical layout and serves for reading and writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from bench.spec.weights import FloatArray, Weights

_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "scale": "weight",
    "shift": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
# The torch dimension of each canonical dimension, by the number of dimensions.
_CANONICAL_AXES = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


def torch_name(address: str) -> str:
    """Return the name in a state dict of the weight at an address.

    >>> torch_name("2.add/0.sequential/1.conv/kernel")
    '2.0.1.weight'
    """
    *layers, name = address.split("/")
    return ".".join([*(layer.split(".")[0] for layer in layers), _NAMES[name]])


def place_weights(module: nn.Module, weights: Weights) -> None:
    """Copy the weights into a lowered model, whatever its device and precision."""
    state = module.state_dict()
    for address, value in weights.items():
        _canonical(state[torch_name(address)]).copy_(torch.from_numpy(value))


def canonical_weights(tensors: Mapping[str, torch.Tensor], addresses: Iterable[str]) -> Weights:
    """Copy tensors that are named as in torch to the host, by address."""
    return {address: canonical_array(tensors[torch_name(address)]) for address in addresses}


def _canonical(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(_CANONICAL_AXES[tensor.dim()])


def canonical_array(tensor: torch.Tensor) -> FloatArray:
    """Copy one weight to the host, in the canonical layout."""
    return np.array(_canonical(tensor.detach()).cpu().numpy(), order="C")
