"""The loop over the steps of one `train` call, for each mode."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import tensorflow as tf

from backends.tensorflow.optimizers import Settings


class Schedule(NamedTuple):
    """The inputs of every step of a call, on the device.

    Attributes:
        batches: (steps, batch) int64 example indices.
        steps: (steps,) int64 numbers of the steps.
        settings: the values of each setting of the optimizer, (steps,).
    """

    batches: tf.Tensor
    steps: tf.Tensor
    settings: tuple[tf.Tensor, ...]


# (batch of indices, number of the step, settings) -> loss; changes the variables
Step = Callable[[tf.Tensor, tf.Tensor, Settings], tf.Tensor]
# Runs the first `count` steps of a schedule and returns the losses, (steps,), which are undefined
# for steps that did not run. The loop in XLA runs all steps or none.
Run = Callable[[Schedule, int], tf.Tensor]


def eager_loop(step: Step) -> Run:
    """Run one operation after the other."""

    def run(schedule: Schedule, count: int) -> tf.Tensor:
        columns = (schedule.batches, schedule.steps, *schedule.settings)
        rows = islice(zip(*(tf.unstack(column) for column in columns)), count)
        return tf.stack([step(batch, number, settings) for batch, number, *settings in rows])

    return run


def graph_loop(step: Step) -> Run:
    """Run the loop in one graph."""

    def run(schedule: Schedule, count: tf.Tensor) -> tf.Tensor:
        return _resident(step, schedule, count)

    compiled = tf.function(run, autograph=False)
    return lambda schedule, count: compiled(schedule, tf.constant(count))


def xla_loop(step: Step) -> Run:
    """Run a loop compiled by XLA."""

    def run(schedule: Schedule, count: tf.Tensor) -> tf.Tensor:
        # On a GPU, XLA checks on the host after each step whether another one follows, unless
        # the number of steps is a constant: all or none.
        steps = schedule.batches.shape[0]
        return tf.cond(
            count == steps,
            lambda: _resident(step, schedule, steps),
            lambda: tf.zeros(steps, schedule.settings[0].dtype),
        )

    compiled = tf.function(run, autograph=False, jit_compile=True)
    return lambda schedule, count: compiled(schedule, tf.constant(count))


def xla_step_loop(step: Step) -> Run:
    """Call a step compiled by XLA from a loop in a graph."""
    return graph_loop(tf.function(step, autograph=False, jit_compile=True))


def while_loop(
    step: Step,
    schedule: Schedule,
    count: tf.Tensor,
    batch_at: Callable[[tf.Tensor], Any],
) -> tf.Tensor:
    """Run the steps in a graph, each on the batch that `batch_at` returns for its index."""
    steps = schedule.batches.shape[0]
    columns = (schedule.steps, *schedule.settings)
    losses = tf.TensorArray(schedule.settings[0].dtype, size=steps, element_shape=())

    def body(index: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        # A gather is one operation; `steps[index]` would be four.
        number, *settings = (tf.gather(column, index) for column in columns)
        loss = step(batch_at(index), number, settings)
        return index + 1, losses.write(index, loss)

    _, losses = tf.while_loop(
        lambda index, _: index < count, body, (tf.constant(0), losses), parallel_iterations=1
    )
    return losses.stack()


def _resident(step: Step, schedule: Schedule, count: tf.Tensor) -> tf.Tensor:
    return while_loop(step, schedule, count, lambda index: tf.gather(schedule.batches, index))
