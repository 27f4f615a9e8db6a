"""Weights in Flax's states, by the spec's addresses; Flax's arrays have the canonical layout."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from flax import nnx

from bench.spec.weights import Weights

_SCALE_AND_SHIFT = {"scale": "scale", "shift": "bias", "mean": "mean", "variance": "var"}
_NAMES = {"kernel": "kernel", "bias": "bias", **_SCALE_AND_SHIFT}


def place_weights(model: Any, weights: Weights, dtype: Any) -> None:
    """Set the weights of a model, in the given type."""
    state = nnx.state(model, (nnx.Param, nnx.BatchStat))
    arrays = nnx.to_pure_dict(state)
    for address, value in weights.items():
        holder, name = _holder(arrays, address)
        holder[name] = np.array(value, dtype)
    nnx.replace_by_pure_dict(state, arrays)
    nnx.update(model, state)


def canonical_weights(state: Any, addresses: Iterable[str]) -> Weights:
    """Copy the arrays of a state to the host, by address."""
    arrays = nnx.to_pure_dict(state)
    held = {}
    for address in addresses:
        holder, name = _holder(arrays, address)
        held[address] = np.array(holder[name])
    return held


def _holder(arrays: Any, address: str) -> tuple[Any, str]:
    """Return the dictionary that contains the weight at an address, and its key.

    >>> _holder({"layers": {2: {"kernel": 0}}}, "2.conv/kernel")
    ({'kernel': 0}, 'kernel')
    """
    *layers, name = address.split("/")
    for layer in layers:
        arrays = arrays["layers"][int(layer.partition(".")[0])]
    return arrays, _NAMES[name]
