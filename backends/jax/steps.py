"""The training step as a pure function, and the two ways of running many of them."""

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
    """What a step changes.

    Attributes:
        weights: the trainable ones.
        statistics: running ones.
        slots: what the optimizer remembers.
        number: how many steps were taken, int32; on the device, so that no call brings it along.
    """

    weights: Arrays
    statistics: Arrays
    slots: Slots
    number: Any


class Data(NamedTuple):
    """The training set on the device: images (examples, ...) and labels (examples,)."""

    images: Any
    labels: Any


class Plan(NamedTuple):
    """What each step is told: one row a step, or the row of one step.

    Attributes:
        batch: indices of examples, (steps, batch).
        rate: learning rates, (steps,).
    """

    batch: Any
    rate: Any


def fetch_resident(batch: Any, data: Data) -> tuple[Any, Any]:
    """The images and labels at the indices of a batch."""
    return data.images[batch], data.labels[batch]


# (batch, data) -> images, labels
Fetch = Callable[[Any, Any], tuple[Any, Any]]
# What a loop compiles, for itself to call.
Program = Callable[..., tuple[Any, Any]]
Step = Callable[[State, Plan, Data], tuple[State, Any]]
Differentiate = Callable[[State, Any, Data], tuple[Any, Any, Arrays, Arrays]]


def make_differentiate(apply: Apply, seed: int, loss_scale: float, fetch: Fetch) -> Differentiate:
    """One training-mode pass as a pure function.

    Args:
        apply: the model.
        seed: of dropout.
        loss_scale: what the loss is multiplied by in the backward pass.
        fetch: gives the images and labels of a batch.

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
    """One training step as a pure function of the state, its plan and the data."""

    def step(state: State, plan: Plan, data: Data) -> tuple[State, Any]:
        loss, _, gradients, statistics = differentiate(state, plan.batch, data)
        weights, slots = update(
            rule, state.weights, gradients, state.slots, plan.rate, state.number
        )
        return State(weights, statistics, slots, state.number + 1), loss

    return step


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """The mean over the batch, of logits (n, classes) and labels (n,)."""
    # Taken from `log_softmax`, because the gradient of `logsumexp` guards against infinities in
    # more passes; a mask instead of the gather costs `mlp` a tenth of its speed in mode jit.
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -jnp.mean(picked)


class Loop(ABC):
    """A way of running many steps: a compiled program, and the calls of it."""

    @abstractmethod
    def __init__(self, step: Step) -> None:
        """Prepare to compile the step."""

    @abstractmethod
    def shape(self, plan: Plan) -> tuple[int, ...]:
        """What of the plan's shape the program depends on."""

    @abstractmethod
    def compile(self, state: State, plan: Plan, data: Data) -> Program:
        """The program for plans of this shape."""

    @abstractmethod
    def run(self, program: Program, state: State, plan: Plan, data: Data) -> tuple[State, Any]:
        """The state after the last step, and the losses; the state given is used up."""


class JitLoop(Loop):
    """One compiled step, called from Python for each batch; the losses stay on the device.

    The smallest models train faster than Python calls, so a call is given as little to do as can
    be: the state as a flat tuple, and a learning rate that the device holds already.
    """

    def __init__(self, step: Step) -> None:
        self._step = step

    def shape(self, plan: Plan) -> tuple[int, ...]:
        """The batch size."""
        return tuple(plan.batch.shape[1:])

    def batches(self, plan: Plan) -> Iterable[Any]:
        """What each step takes for its batch: its indices."""
        rows: Iterable[Any] = plan.batch
        return rows

    def compile(self, state: State, plan: Plan, data: Data) -> Program:
        """The program of one step, from the leaves of a state to those of the next."""
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
        """One call a step; none waits for the one before."""
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
        """The number of steps and the batch size."""
        return tuple(plan.batch.shape)

    def compile(self, state: State, plan: Plan, data: Data) -> Program:
        """The program of the whole loop."""
        program: Program = self._steps.lower(state, plan, data).compile()
        return program

    def run(self, program: Program, state: State, plan: Plan, data: Data) -> tuple[State, Any]:
        """A single call."""
        return program(state, plan, data)
