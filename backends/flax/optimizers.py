"""The spec's optimizers from Optax, whose formulas are the same."""

from __future__ import annotations

from functools import partial, singledispatch
from typing import Any

import optax

from backends.api import Unsupported
from bench.spec.training import Adam, Optimizer, Sgd


def make_optimizer(spec: Optimizer) -> Any:
    """Make the optimizer, with a learning rate that can be changed.

    Raises:
        Unsupported: an optimizer other than `Sgd` and `Adam`.
    """
    return optax.inject_hyperparams(partial(_rule, spec))(learning_rate=spec.learning_rate)


@singledispatch
def _rule(spec: Any, learning_rate: Any) -> Any:
    raise Unsupported(f"the optimizer {spec!r:.60} is not supported; use Sgd or Adam")


@_rule.register
def _(spec: Sgd, learning_rate: Any) -> Any:
    momentum = spec.momentum or None
    return _penalised(spec.l2, optax.sgd(learning_rate, momentum, nesterov=spec.nesterov))


@_rule.register
def _(spec: Adam, learning_rate: Any) -> Any:
    update = optax.adam(learning_rate, b1=spec.beta1, b2=spec.beta2, eps=spec.epsilon)
    return _penalised(spec.l2, update)


def _penalised(l2: float, update: Any) -> Any:
    """Add l2 * w to the gradients before the update."""
    return optax.chain(optax.add_decayed_weights(l2), update) if l2 else update
