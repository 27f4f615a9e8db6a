"""One model in TensorFlow: plain operations, and a loop of steps in one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, cast

import numpy as np
import tensorflow as tf

from backends.api import Gradients, Session, Workload, part_of
from backends.tensorflow import platform
from backends.tensorflow.lowering import Pass, Target, lower
from backends.tensorflow.optimizers import Settings, update_rule
from backends.tensorflow.parallel import devices_of
from backends.tensorflow.pipeline import Loader, pipeline_loop, scaled
from backends.tensorflow.steps import (
    Run,
    Schedule,
    Step,
    eager_loop,
    graph_loop,
    xla_loop,
    xla_step_loop,
)
from backends.tensorflow.weights import copy_of, place_weights, trainable, typed
from bench.spec.layers import Conv
from bench.spec.precision import loss_scale
from bench.spec.process_group import ProcessGroup
from bench.spec.weights import FloatArray, IntArray, Weights

# The type of the weights, and the type in which layers compute.
_PRECISIONS = {
    "float32": (tf.float32, tf.float32),
    "tf32": (tf.float32, tf.float32),
    "bfloat16": (tf.float32, tf.bfloat16),
    "float16": (tf.float32, tf.float16),
    "float64": (tf.float64, tf.float64),
}


class TensorFlowSession(Session):
    """A model with its variables, optimizer state and data, on one device or several."""

    def __init__(self, workload: Workload, group: ProcessGroup) -> None:
        """Lower the model, and place weights and data, on all hosts in the same order."""
        self._device = platform.name_of(workload.device)
        self._devices = devices_of(workload, group)
        self._dtype, self._short = _PRECISIONS[workload.precision]
        self._loss_scale = loss_scale(workload.precision)
        self._mode = workload.mode
        self._input_shape = workload.model.input_shape
        with self._devices.placing():
            self._examples = self._input(workload)
            self._variables = place_weights(workload.model, workload.weights, self._dtype)
            self._trainable = trainable(self._variables)
            self._update = update_rule(workload.optimizer, list(self._trainable.values()))
        target = Target(
            self._variables,
            on_cpu=workload.device.kind == "cpu",
            through_xla=workload.mode == "xla",
            seed=workload.seed,
            devices=self._devices,
        )
        self._forward = lower(workload.model, target)
        self._run = self._loop(workload)
        self._infer: Any = _compiled(workload.mode, self._inference)
        self._differentiate = _compiled(workload.mode, self._gradients)
        self._steps_done = 0

    def compile(self, steps: int, batch_size: int) -> None:
        """Run one step of a `train` call and undo it; see `Session.compile`."""
        part_of(batch_size, self._devices.number)
        state = [*self._variables.values(), *self._update.state]
        before = [copy_of(variable) for variable in state]
        batches = np.zeros((steps, batch_size), np.int32)
        with tf.device(self._device):
            self._run(self._schedule(batches, np.zeros(steps, np.float32)), 1)
            for variable, value in zip(state, before):
                variable.assign(value)
        self._finish()

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        part_of(batches.shape[1], self._devices.number)
        with tf.device(self._device):
            losses = self._run(self._schedule(batches, learning_rates), len(batches))
        self._steps_done += len(batches)
        self._finish()
        return copy_of(losses).astype(np.float32)

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        with tf.device(self._device):
            return copy_of(self._infer(tf.constant(images)))

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """Return the function of one shape, which does not select a trace at each call."""
        if self._mode == "eager":
            return self.predict
        given = tf.TensorSpec((batch_size, *self._input_shape), tf.float32)
        with tf.device(self._device):
            traced = self._infer.get_concrete_function(given)

        def predict(images: FloatArray) -> FloatArray:
            with tf.device(self._device):
                logits: FloatArray = traced(tf.constant(images)).numpy()
            return logits

        return predict

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        part_of(len(batch), self._devices.number)
        with tf.device(self._device):
            indices = self._given(batch)
            number = tf.constant(self._steps_done, tf.int64)
            logits, loss, gradients = self._differentiate(indices, number)
        arrays = {address: copy_of(value) for address, value in zip(self._trainable, gradients)}
        return Gradients(copy_of(logits), float(loss), arrays)

    def weights(self) -> Weights:
        """Return all weights and running statistics, in the session's precision."""
        return {address: copy_of(variable) for address, variable in self._variables.items()}

    def agree(self, decision: bool = True) -> bool:
        """Wait for all hosts and return the decision of rank 0; see `Session.agree`."""
        return self._devices.agree(decision)

    def device_memory(self) -> Optional[int]:
        """Return the peak of TensorFlow's allocator; None on the CPU, where it has none."""
        if self._device.startswith("CPU"):
            return None
        return int(tf.config.experimental.get_memory_info(self._device)["peak"])

    def _input(self, workload: Workload) -> Callable[[Any], tuple[tf.Tensor, tf.Tensor]]:
        """Return the function from a step's batch to images and labels."""
        if workload.input == "pipeline":
            return lambda batch: scaled(batch, self._short)
        images = self._devices.placed(workload.images, self._short)
        # 64 bits, because TensorFlow does not place 32-bit integers on the GPU.
        labels = self._devices.placed(workload.labels, tf.int64)
        return lambda batch: (tf.gather(images, batch), tf.gather(labels, batch))

    def _loop(self, workload: Workload) -> Run:
        if workload.input == "resident":
            self._given: Callable[[IntArray], Any] = lambda batch: tf.constant(batch, tf.int64)
            return _loop(workload)(self._step)
        load = Loader(workload.images, workload.labels)
        self._given = lambda batch: next(iter(load(tf.constant(batch[np.newaxis], tf.int64))))
        return pipeline_loop(self._step, load, workload.mode)

    def _finish(self) -> None:
        self._devices.finish(list(self._variables.values()))

    def _schedule(self, batches: IntArray, learning_rates: FloatArray) -> Schedule:
        steps = self._steps_done + np.arange(len(batches))
        settings = self._update.settings(learning_rates.astype(np.float64), steps)
        return Schedule(
            tf.constant(batches, tf.int64),
            tf.constant(steps, tf.int64),
            tuple(tf.constant(values, self._dtype) for values in settings),
        )

    def _inference(self, images: tf.Tensor) -> tf.Tensor:
        return self._logits(typed(images, self._short), Pass())

    def _logits(self, images: tf.Tensor, run: Pass) -> tf.Tensor:
        """Return logits in the weights' type: the loss of a 16-bit type is computed in float32."""
        return typed(self._forward(images, run), self._dtype)

    def _backward(
        self, batch: tf.Tensor, run: Pass
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Return the logits, loss and gradients of one batch of indices."""
        images, labels = self._examples(self._devices.own_part(batch))
        with tf.GradientTape() as tape:
            logits = self._logits(images, run)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
            scaled = loss * self._loss_scale if self._loss_scale != 1 else loss
        gradients = tape.gradient(scaled, list(self._trainable.values()))
        if self._loss_scale != 1:
            gradients = [gradient / self._loss_scale for gradient in gradients]
        loss, *gradients = self._devices.averaged([loss, *gradients])
        return logits, loss, gradients

    def _gradients(
        self, batch: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        found = self._devices.on_each(self._whole, batch, step)
        logits, loss, *gradients = [self._devices.first(each) for each in found]
        return logits, loss, gradients

    def _whole(self, batch: tf.Tensor, step: tf.Tensor) -> list[tf.Tensor]:
        """Return all logits, then loss and gradients of the whole batch; called in each replica."""
        logits, loss, gradients = self._backward(batch, Pass(step))
        return [self._devices.gathered(logits), loss, *gradients]

    def _step(self, batch: tf.Tensor, step: tf.Tensor, settings: Settings) -> tf.Tensor:
        losses = self._devices.on_each(self._own_step, batch, step, settings)
        return self._devices.first(losses)

    def _own_step(self, batch: tf.Tensor, step: tf.Tensor, settings: Settings) -> tf.Tensor:
        """Train one step on a replica's part of the batch, with its copies of the variables."""
        run = Pass(step)
        _, loss, gradients = self._backward(batch, run)
        for statistic, value in run.statistics:
            # `assign` without its check: a replica changes its own copy.
            tf.raw_ops.AssignVariableOp(resource=statistic.handle, value=value)
        self._update.apply(gradients, settings)
        return loss


def _compiled(mode: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as the mode runs it."""
    if mode == "eager":
        return function
    return cast(
        "Callable[..., Any]", tf.function(function, autograph=False, jit_compile=mode == "xla")
    )


def _loop(workload: Workload) -> Callable[[Step], Run]:
    """Return the mode's loop.

    On a CPU, XLA uses a fast kernel for the convolutions of a single step, but not for their
    gradients in the body of a loop: a network trains ten times slower there. Without convolutions,
    a loop inside XLA saves the cost of each call of a compiled step.
    """
    if workload.mode == "eager":
        return eager_loop
    if workload.mode == "graph":
        return graph_loop
    has_convolution = any(isinstance(node.layer, Conv) for node in workload.model.walk())
    is_slow = workload.device.kind == "cpu" and has_convolution
    return xla_step_loop if is_slow else xla_loop
