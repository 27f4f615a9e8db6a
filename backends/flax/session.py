"""One model in Flax: NNX modules, an Optax optimizer and data on one device."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Callable, Optional

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from flax import nnx

from backends.api import Gradients, Session, Workload
from backends.flax.lowering import lower
from backends.flax.optimizers import make_optimizer
from backends.flax.steps import LOOPS, Data, differentiate
from backends.flax.weights import canonical_weights, place_weights
from backends.jax import platform
from bench.spec.parameters import weight_specs
from bench.spec.weights import FloatArray, IntArray, Weights


class FlaxSession(Session):
    """A model and its optimizer, which change in place, and the training set on a device."""

    def __init__(self, workload: Workload) -> None:
        self._device = platform.jax_device(workload.device)
        self._dtype = np.dtype(workload.precision)
        self._input_shape = workload.model.input_shape
        self._specs = weight_specs(workload.model)
        with self._settings():
            model = workload.model
            self._model = lower(model.layer, model, self._dtype, nnx.Rngs(workload.seed))
            place_weights(self._model, workload.weights, self._dtype)
            self._optimizer = nnx.Optimizer(
                self._model, make_optimizer(workload.optimizer), wrt=nnx.Param
            )
            # A step returns everything on the device. Its first inputs must be there too: otherwise
            # the second step would be compiled again.
            changing = self._model, self._optimizer
            nnx.update(changing, jax.device_put(nnx.state(changing), self._device))
            images = self._place(workload.images.astype(self._dtype, copy=False))
            self._data = Data(images, self._place(workload.labels))
            self._infer = jax.jit(self._pass_of_inference())
            self._differentiate = jax.jit(self._pass_of_training())
            self._loop = LOOPS[workload.mode](self._model, self._optimizer, self._data)
            jax.block_until_ready((self._data, nnx.state(self._model)))

    def compile(self, steps: int, batch_size: int) -> None:
        """Train on one batch and undo it; see `Session.compile`."""
        changing = self._model, self._optimizer
        with self._settings():
            before = jax.tree.map(jnp.copy, nnx.state(changing))
            self._loop.run(np.zeros((1, batch_size), np.int32))
            nnx.update(changing, before)
            jax.block_until_ready(nnx.state(changing))

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        losses: list[Any] = []
        changes = np.flatnonzero(np.diff(learning_rates)) + 1
        with self._settings():
            for first, stretch in zip([0, *changes], np.split(batches, changes)):
                self._set_rate(learning_rates[first])
                losses += self._loop.run(stretch.astype(np.int32, copy=False))
            jax.block_until_ready(nnx.state((self._model, self._optimizer)))
            return np.array(jax.device_get(losses), np.float32)

    def _set_rate(self, rate: Any) -> None:
        held = self._optimizer.opt_state.hyperparams["learning_rate"]
        held[...] = self._place(np.asarray(rate, self._dtype))

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        with self._settings():
            return np.array(self._infer(nnx.state(self._model), self._place(images)))

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """Return the compiled program, without the work that `predict` repeats at each call."""
        if self._dtype == np.float64:  # outside of `_settings`, JAX converts it to float32
            return self.predict
        with self._settings():
            state = nnx.state(self._model)
            given = jax.ShapeDtypeStruct((batch_size, *self._input_shape), np.float32)
            program = self._infer.lower(state, given).compile()
        return lambda images: np.asarray(program(state, images))

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        examples = self._data.images[batch], self._data.labels[batch]
        trainable = [address for address, spec in self._specs.items() if spec.trainable]
        with self._settings():
            (loss, logits), gradients = self._differentiate(nnx.state(self._model), *examples)
            return Gradients(np.array(logits), float(loss), canonical_weights(gradients, trainable))

    def weights(self) -> Weights:
        """Return all weights and running statistics, in the session's precision."""
        return canonical_weights(nnx.state(self._model), self._specs)

    def device_memory(self) -> Optional[int]:
        """Return the peak of the device's allocator; None on the CPU."""
        return platform.peak_memory(self._device)

    def _pass_of_inference(self) -> Callable[[Any, Any], Any]:
        self._model.eval()
        graph = nnx.graphdef(self._model)
        self._model.train()
        return lambda state, images: nnx.merge(graph, state)(images.astype(self._dtype))

    def _pass_of_training(self) -> Callable[[Any, Any, Any], Any]:
        """Return a pass on a copy of the model, so that running statistics do not change."""
        graph = nnx.graphdef(self._model)
        return lambda state, *examples: differentiate(nnx.merge(graph, state), *examples)

    def _settings(self) -> AbstractContextManager[None]:
        """Use the session's device and precision inside the context."""
        return platform.settings(self._device, self._dtype)

    def _place(self, values: npt.NDArray[Any]) -> Any:
        """Copy values to the device: a view would show later changes by the caller."""
        return jax.device_put(values, self._device, may_alias=False)
