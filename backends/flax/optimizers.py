"""The spec's optimizers from Optax, whose formulas are the same."""

from __future__ import annotations

from functools import partial
from typing import Any

import optax

from bench.spec.training import Optimizer, Sgd


def make_optimizer(spec: Optimizer) -> Any:
    """Make the optimizer, with a learning rate that can be changed."""
    return optax.inject_hyperparams(partial(_rule, spec))(learning_rate=spec.learning_rate)


def _rule(spec: Optimizer, learning_rate: Any) -> Any:
    if isinstance(spec, Sgd):
        momentum = spec.momentum or None
        update = optax.sgd(learning_rate, momentum, nesterov=spec.nesterov)
    else:
        update = optax.adam(learning_rate, b1=spec.beta1, b2=spec.beta2, eps=spec.epsilon)
    # The penalty l2 * w is added to the gradients before the update.
    return optax.chain(optax.add_decayed_weights(spec.l2), update) if spec.l2 else update
