"""The variables of Keras layers, by the spec's addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node
from bench.spec.weights import Weights

# The attribute of a Keras layer with the weight of a name.
_ATTRIBUTES = {
    "kernel": "kernel",
    "bias": "bias",
    "scale": "gamma",
    "shift": "beta",
    "mean": "moving_mean",
    "variance": "moving_variance",
}


def variables_of(model: Node, layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a model, given its Keras layers by path."""
    variables = {}
    for address in weight_specs(model):
        path, _, name = address.rpartition("/")
        variables[address] = getattr(layers[path], _ATTRIBUTES[name])
    return variables


def place_weights(variables: Mapping[str, Any], weights: Weights) -> None:
    """Assign the weights; a depthwise kernel is (k, k, c, 1) in Keras, with the same order."""
    for address, variable in variables.items():
        variable.assign(np.reshape(weights[address], variable.shape))
