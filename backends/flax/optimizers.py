"""The spec's optimizers as Optax has them: its formulas are the spec's."""

from __future__ import annotations

from functools import partial, singledispatch
from typing import Any

import optax

from backends.api import Unsupported
from bench.spec.training import Adam, Optimizer, Sgd


def make_optimizer(spec: Optimizer) -> Any:
    """The optimizer, with its learning rate among what can be changed.

    Raises:
        Unsupported: an optimizer of an unknown class.
    """
    return optax.inject_hyperparams(partial(_rule, spec))(learning_rate=spec.learning_rate)


@singledispatch
def _rule(spec: Any, learning_rate: Any) -> Any:
    raise Unsupported(f"received the optimizer {spec!r:.60}, expected Sgd or Adam")


@_rule.register
def _(spec: Sgd, learning_rate: Any) -> Any:
    momentum = spec.momentum or None
    return _penalised(spec.l2, optax.sgd(learning_rate, momentum, nesterov=spec.nesterov))


@_rule.register
def _(spec: Adam, learning_rate: Any) -> Any:
    update = optax.adam(learning_rate, b1=spec.beta1, b2=spec.beta2, eps=spec.epsilon)
    return _penalised(spec.l2, update)


def _penalised(l2: float, update: Any) -> Any:
    """The update of gradients to which l2 * w was added."""
    return optax.chain(optax.add_decayed_weights(l2), update) if l2 else update
