"""The default choices of JAX's example libraries, stax and optimizers.

JAX itself has no layers; it ships these. Most people use Flax, which is another contender. stax has
no running statistics, so their momentum stays that of the spec.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.example_libraries import optimizers, stax

from backends.native import Defaults
from bench.spec.layers import BatchNorm, Dense
from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node
from bench.spec.weights import Weights


def jax_defaults(seed: int) -> Defaults:
    """Return the default choices; each layer's random key is derived from the seed."""
    keys = (jax.random.fold_in(jax.random.key(seed), number) for number in itertools.count())
    return Defaults(
        batch_norm_momentum=BatchNorm().momentum,
        batch_norm_epsilon=inspect.signature(stax.BatchNorm).parameters["epsilon"].default,
        adam_epsilon=inspect.signature(optimizers.adam).parameters["eps"].default,
        initialize=partial(_initialize, keys),
        words={
            "dense kernel": "Glorot normal",
            "convolution kernel": "Glorot normal",
            "bias": "normal, deviation 0.01 in Dense, 1e-6 in a convolution",
        },
    )


def _initialize(keys: Iterator[Any], node: Node) -> Weights:
    """Draw the initial weights of a Dense or a convolution as stax does."""
    specs = weight_specs(node)
    kernel_shape = next(spec.shape for spec in specs.values() if spec.fan_in)
    *_, outputs = kernel_shape
    if isinstance(node.layer, Dense):
        initialize, _ = stax.Dense(outputs)
        shape: tuple[int, ...] = (-1, kernel_shape[0])
    else:
        initialize, _ = stax.Conv(outputs, kernel_shape[:2])
        shape = (-1, *node.input_shape[:2], kernel_shape[2])
    _, (kernel, bias) = initialize(next(keys), shape)
    drawn = {"kernel": kernel, "bias": bias}
    return {
        name.rpartition("/")[2]: np.array(drawn[name.rpartition("/")[2]], np.float32).reshape(
            spec.shape
        )
        for name, spec in specs.items()
    }
