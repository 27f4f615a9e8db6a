"""The training step as a pure function, and the two ways of running many steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from backends.jax.lowering import Apply
from backends.jax.optimizers import update
from backends.jax.weights import place
from backends.optimizers import Arrays, Slots, UpdateRule


class State(NamedTuple):
    """The values that a step changes.

    Attributes:
        weights: trainable weights by address.
        statistics: running statistics by address.
        slots: the optimizer's state.
        number: the number of previous steps, int32; on the device, so that calls do not copy it.
    """

    weights: Arrays
    statistics: Arrays
    slots: Slots
    number: Any


class Data(NamedTuple):
    """The training set on the device: images (examples, ...), labels (examples,)."""

    images: Any
    labels: Any


class Plan(NamedTuple):
    """The inputs of each step: one row per step, or the row of one step.

    Attributes:
        batch: indices of examples, (steps, batch).
        rate: learning rates, (steps,).
    """

    batch: Any
    rate: Any


def fetch_resident(batch: Any, data: Data) -> tuple[Any, Any]:
    """Return the images and labels at the indices of a batch."""
    return data.images[batch], data.labels[batch]


# (batch, data) -> images, labels
Fetch = Callable[[Any, Any], tuple[Any, Any]]
# The compiled program of a loop.
Program = Callable[..., tuple[Any, Any]]
Step = Callable[[State, Plan, Data], tuple[State, Any]]
Differentiate = Callable[[State, Any, Data], tuple[Any, Any, Arrays, Arrays]]


def make_differentiate(apply: Apply, seed: int, loss_scale: float, fetch: Fetch) -> Differentiate:
    """Return one training-mode pass as a pure function.

    Args:
        apply: the model.
        seed: the seed of dropout.
        loss_scale: the factor of the loss in the backward pass.
        fetch: returns the images and labels of a batch.

    Returns:
        A function of the state, the batch's indices (batch,) and the data, which returns the
        loss, the logits, the gradients and the new statistics.
    """

    def loss_of(
        weights: Arrays, statistics: Arrays, batch: Any, number: Any, data: Data
    ) -> tuple[Any, tuple[Any, Any, Arrays]]:
        key = jax.random.fold_in(jax.random.key(seed), number)
        everything = {**weights, **statistics}
        images, labels = fetch(batch, data)
        logits, statistics = apply(everything, images, True, key)
        loss = softmax_cross_entropy(logits, labels)
        return loss * loss_scale, (loss, logits, statistics)

    def differentiate(state: State, batch: Any, data: Data) -> tuple[Any, Any, Arrays, Arrays]:
        gradients, (loss, logits, statistics) = jax.grad(loss_of, has_aux=True)(
            state.weights, state.statistics, batch, state.number, data
        )
        return loss, logits, _divided(gradients, loss_scale), statistics

    return differentiate


def _divided(gradients: Arrays, loss_scale: float) -> Arrays:
    if loss_scale == 1:
        return gradients
    return {address: gradient / loss_scale for address, gradient in gradients.items()}


def make_step(differentiate: Differentiate, rule: UpdateRule) -> Step:
    """Return one training step as a pure function of the state, its plan and the data."""

    def step(state: State, plan: Plan, data: Data) -> tuple[State, Any]:
        loss, _, gradients, statistics = differentiate(state, plan.batch, data)
        weights, slots = update(
            rule, state.weights, gradients, state.slots, plan.rate, state.number
        )
        return State(weights, statistics, slots, state.number + 1), loss

    return step


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """Return the mean loss of logits (n, classes) and labels (n,)."""
    # `log_softmax`, because the gradient of `logsumexp` needs more passes to handle infinities. A
    # mask instead of the gather makes `mlp` a tenth slower in mode jit.
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -jnp.mean(picked)


class Loop(ABC):
    """A way of running many steps: a compiled program, and its calls."""

    @abstractmethod
    def __init__(self, step: Step) -> None:
        """Prepare to compile the step."""

    @abstractmethod
    def shape(self, plan: Plan) -> tuple[int, ...]:
        """Return the part of the plan's shape that the program depends on."""

    @abstractmethod
    def compile(self, state: State, plan: Plan, data: Data) -> Program:
        """Compile the program for plans of this shape."""

    @abstractmethod
    def run(self, program: Program, state: State, plan: Plan, data: Data) -> tuple[State, Any]:
        """Return the state after the last step, and the losses; the given state becomes invalid."""


class JitLoop(Loop):
    """One compiled step, called from Python for each batch; the losses stay on the device.

    The smallest models train faster than Python makes calls, so each call does as little as
    possible: the state is a flat tuple, and the learning rate is already on the device.
    """

    def __init__(self, step: Step) -> None:
        self._step = step

    def shape(self, plan: Plan) -> tuple[int, ...]:
        """Return the batch size."""
        return tuple(plan.batch.shape[1:])

    def batches(self, plan: Plan) -> Iterable[Any]:
        """Return the batch of each step: its indices."""
        rows: Iterable[Any] = plan.batch
        return rows

    def compile(self, state: State, plan: Plan, data: Data) -> Program:
        """Compile one step, from the leaves of a state to those of the next."""
        leaves, tree = jax.tree.flatten(state)

        def step(leaves: tuple[Any, ...], batch: Any, rate: Any, *data: Any) -> Any:
            plan = Plan(batch, rate)
            state, loss = self._step(jax.tree.unflatten(tree, leaves), plan, Data(*data))
            return tuple(jax.tree.leaves(state)), loss

        batch = next(iter(self.batches(plan)))
        lowered = jax.jit(step, donate_argnums=0).lower(tuple(leaves), batch, plan.rate[0], *data)
        program: Program = lowered.compile()
        return program

    def run(self, program: Program, state: State, plan: Plan, data: Data) -> tuple[State, Any]:
        """Make one call per step, without waiting for the previous one."""
        leaves, tree = jax.tree.flatten(state)
        held = tuple(leaves)
        where = state.number.sharding
        rates = {rate: place(rate, where) for rate in set(plan.rate)}
        losses = []
        for batch, rate in zip(self.batches(plan), plan.rate):
            held, loss = program(held, batch, rates[rate], *data)
            losses.append(loss)
        return jax.tree.unflatten(tree, held), losses


class ScanLoop(Loop):
    """All steps of a call in one compiled loop."""

    def __init__(self, step: Step) -> None:
        def steps(state: State, plan: Plan, data: Data) -> Any:
            return lax.scan(lambda state, row: step(state, row, data), state, plan)

        self._steps = jax.jit(steps, donate_argnums=0)

    def shape(self, plan: Plan) -> tuple[int, ...]:
        """Return the number of steps and the batch size."""
        return tuple(plan.batch.shape)

    def compile(self, state: State, plan: Plan, data: Data) -> Program:
        """Compile the whole loop."""
        program: Program = self._steps.lower(state, plan, data).compile()
        return program

    def run(self, program: Program, state: State, plan: Plan, data: Data) -> tuple[State, Any]:
        """Make a single call."""
        return program(state, plan, data)
