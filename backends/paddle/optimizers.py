"""The spec's optimizers from paddle.optimizer, which has the same formulas."""

from __future__ import annotations

from typing import Any

import paddle

from bench.spec.training import Adam, Optimizer

Tensors = list[Any]


def make_optimizer(optimizer: Optimizer, weights: Tensors) -> Any:
    """Make the optimizer of these weights, with fresh state."""
    shared = {
        "learning_rate": optimizer.learning_rate,
        "parameters": weights,
        # Paddle's Adam adds it to the gradient, as the spec does; its AdamW does not.
        "weight_decay": optimizer.l2 or None,
    }
    if isinstance(optimizer, Adam):
        betas = {"beta1": optimizer.beta1, "beta2": optimizer.beta2}
        return paddle.optimizer.Adam(epsilon=optimizer.epsilon, **betas, **shared)
    if not optimizer.momentum:
        return paddle.optimizer.SGD(**shared)
    return paddle.optimizer.Momentum(
        momentum=optimizer.momentum, use_nesterov=optimizer.nesterov, **shared
    )
