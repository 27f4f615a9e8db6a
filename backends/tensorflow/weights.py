"""Weights as variables, which TensorFlow's kernels take in the canonical layout as they are."""

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
    """A variable on the current device for every weight, by address."""
    return {
        address: tf.Variable(weights[address], dtype=dtype, trainable=spec.trainable)
        for address, spec in weight_specs(model).items()
    }


def typed(value: Any, dtype: tf.DType) -> Any:
    """The tensor or variable in that type; `tf.cast` takes its time where it has nothing to do."""
    return value if value.dtype == dtype else tf.cast(value, dtype)


def trainable(variables: Variables) -> dict[str, tf.Variable]:
    """Those that change by gradient."""
    return {address: value for address, value in variables.items() if value.trainable}


def copy_of(tensor: tf.Tensor) -> FloatArray:
    """The values of a tensor or variable, which `numpy()` may hand out as a view of its memory."""
    return np.array(tensor.numpy())
