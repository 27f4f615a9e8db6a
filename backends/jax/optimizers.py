"""The spec's optimizers over dictionaries of weights by address."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from backends.optimizers import Arrays, Slots, UpdateRule, updated


def update(
    rule: UpdateRule, weights: Arrays, gradients: Arrays, slots: Slots, rate: Any, step: Any
) -> tuple[Arrays, Slots]:
    """Return the weights and the optimizer's state after a step.

    Args:
        rule: the optimizer's formulas.
        weights: trainable weights by address.
        gradients: the gradients of the loss, by the same addresses.
        slots: the state before the step.
        rate: the step's learning rate, in the weights' type.
        step: the number of previous steps, an integer.
    """
    settings = rule.settings(rate, step.astype(rate.dtype), _share)
    return updated(rule, weights, gradients, slots, settings)


def _share(beta: float, step: Any) -> Any:
    """Return 1 - beta^t as expm1: in float32, the difference loses four digits in early steps."""
    return -jnp.expm1((step + 1) * (math.log(beta) if beta else -math.inf))
