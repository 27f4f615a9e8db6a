"""Weights as variables; TensorFlow's kernels use the canonical layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray, Weights

Variables = Mapping[str, tf.Variable]


def place_weights(model: Node, weights: Weights, dtype: tf.DType) -> Variables:
    """Make a variable on the current device for every weight."""
    return {
        address: tf.Variable(weights[address], dtype=dtype, trainable=spec.trainable)
        for address, spec in weight_specs(model).items()
    }


def typed(value: Any, dtype: tf.DType) -> Any:
    """Cast a tensor or variable; `tf.cast` takes time even where it has nothing to do."""
    return value if value.dtype == dtype else tf.cast(value, dtype)


def trainable(variables: Variables) -> dict[str, tf.Variable]:
    """Return the variables that are trained by gradient."""
    return {address: value for address, value in variables.items() if value.trainable}


def copy_of(tensor: tf.Tensor) -> FloatArray:
    """Copy a tensor or variable to the host; `numpy()` may return a view."""
    return np.array(tensor.numpy())
