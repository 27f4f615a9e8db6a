"""The spec's optimizers over dictionaries of weights by address, on settings from the host."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np

from backends.optimizers import UpdateRule, settings_of_steps
from bench.spec.weights import FloatArray, IntArray


def settings_on_device(
    rule: UpdateRule, rates: FloatArray, steps: IntArray
) -> list[tuple[Any, ...]]:
    """Return the rule's settings of each step, as MLX scalars.

    Args:
        rule: the optimizer's formulas.
        rates: (steps,) learning rates.
        steps: (steps,) numbers of the steps.
    """
    columns = settings_of_steps(rule, rates, steps, np.float32)
    return [tuple(mx.array(value, mx.float32) for value in row) for row in zip(*columns)]
