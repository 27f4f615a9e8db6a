"""The spec's optimizers from paddle.optimizer, which has the same formulas."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import paddle

from backends.api import Unsupported
from bench.spec.training import Adam, Sgd

Tensors = list[Any]


@singledispatch
def make_optimizer(optimizer: Any, weights: Tensors) -> Any:
    """Make the optimizer of these weights, with fresh state.

    Raises:
        Unsupported: an optimizer other than `Sgd` and `Adam`.
    """
    raise Unsupported(f"the optimizer {optimizer!r:.60} is not supported; use Sgd or Adam")


@make_optimizer.register
def _(optimizer: Sgd, weights: Tensors) -> Any:
    shared = {
        "learning_rate": optimizer.learning_rate,
        "parameters": weights,
        "weight_decay": optimizer.l2 or None,
    }
    if not optimizer.momentum:
        return paddle.optimizer.SGD(**shared)
    return paddle.optimizer.Momentum(
        momentum=optimizer.momentum, use_nesterov=optimizer.nesterov, **shared
    )


@make_optimizer.register
def _(optimizer: Adam, weights: Tensors) -> Any:
    return paddle.optimizer.Adam(
        learning_rate=optimizer.learning_rate,
        beta1=optimizer.beta1,
        beta2=optimizer.beta2,
        epsilon=optimizer.epsilon,
        parameters=weights,
        # Paddle's Adam adds it to the gradient, as the spec does; its AdamW does not.
        weight_decay=optimizer.l2 or None,
    )
