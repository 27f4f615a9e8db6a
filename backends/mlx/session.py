"""One model in MLX: its state, its data, and the functions that change the state."""

from __future__ import annotations

from typing import Any, Callable

import mlx.core as mx
import numpy as np

from backends.api import Gradients, Session, Workload
from backends.mlx.lowering import count_drops, lower
from backends.mlx.optimizers import settings_on_device
from backends.mlx.steps import Data, State, make_differentiate, make_step
from backends.mlx.weights import canonical_array, canonical_weights, place_weights, placed
from backends.optimizers import initial_slots, update_rule
from bench.spec.parameters import weight_specs
from bench.spec.weights import FloatArray, IntArray, Weights


class MlxSession(Session):
    """The training state, the training set, and the functions that change the state."""

    def __init__(self, workload: Workload) -> None:
        self._rule = update_rule(workload.optimizer, mx.sqrt)
        self._steps_done = 0
        self._specs = weight_specs(workload.model)
        apply = lower(workload.model)
        self._differentiate = make_differentiate(apply, count_drops(workload.model))
        step = make_step(self._differentiate, self._rule)
        transform: Any = mx.compile if workload.mode == "compile" else lambda function: function
        self._step = transform(step)
        self._infer = transform(lambda weights, images: apply(weights, images, False, ())[0])
        self._data = Data(placed(workload.images), mx.array(workload.labels))
        self._state = self._initial_state(workload)
        mx.eval(self._data, self._state)

    def compile(self, steps: int, batch_size: int) -> None:
        """Compute a step on copies of one example and discard it; see `Session.compile`."""
        batches = np.zeros((1, batch_size), np.int32)
        mx.eval(self._trained(batches, np.zeros(1, np.float32)))

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        self._state, losses = self._trained(batches, learning_rates)
        self._steps_done += len(batches)
        mx.eval(self._state, losses)
        return np.array([loss.item() for loss in losses], np.float32)

    def _trained(self, batches: IntArray, learning_rates: FloatArray) -> tuple[State, list[Any]]:
        """Return the state after these steps, and their losses, all still being computed."""
        numbers = self._steps_done + np.arange(len(batches))
        given = settings_on_device(self._rule, learning_rates, numbers)
        state, losses = self._state, []
        for batch, setting in zip(batches, given):
            state, loss = self._step(state, mx.array(batch), setting, self._data)
            # While MLX computes this step, Python calls the next one.
            mx.async_eval(state, loss)
            losses.append(loss)
        return State(*state), losses

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        return canonical_array(self._infer(self._everything(), placed(images)))

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """Return the mode's function with the current weights."""
        weights, infer = self._everything(), self._infer
        return lambda images: canonical_array(infer(weights, placed(images)))

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        loss, logits, gradients, *_ = self._differentiate(self._state, mx.array(batch), self._data)
        arrays = canonical_weights(gradients, self._state.weights)
        return Gradients(canonical_array(logits), loss.item(), arrays)

    def weights(self) -> Weights:
        """Return all weights and running statistics, in float32."""
        return canonical_weights(self._everything(), self._specs)

    def _everything(self) -> dict[str, Any]:
        return {**self._state.weights, **self._state.statistics}

    def _initial_state(self, workload: Workload) -> State:
        trainable = [address for address, spec in self._specs.items() if spec.trainable]
        running = [address for address, spec in self._specs.items() if not spec.trainable]
        weights = place_weights(workload.weights, trainable)
        return State(
            weights,
            place_weights(workload.weights, running),
            initial_slots(self._rule, weights, mx.zeros_like),
            mx.random.key(workload.seed),
        )
