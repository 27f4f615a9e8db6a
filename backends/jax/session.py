"""One model in JAX: its data and its compiled programs, on one device or several."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Callable, Optional

import jax
import jax.numpy as jnp
import numpy as np

from backends.api import Gradients, Session, Workload, part_of
from backends.jax import platform
from backends.jax.lowering import lower
from backends.jax.parallel import Places, WaitingLoop
from backends.jax.pipeline import PipelineLoop, loader, scaled
from backends.jax.steps import (
    Data,
    Fetch,
    JitLoop,
    Loop,
    Plan,
    ScanLoop,
    State,
    Step,
    fetch_resident,
    make_differentiate,
    make_step,
)
from backends.jax.weights import on_first, on_host
from backends.jax.windowed import windowed_for
from backends.optimizers import initial_slots, update_rule
from bench.spec.parameters import weight_specs
from bench.spec.precision import loss_scale
from bench.spec.weights import FloatArray, IntArray, Weights

# The type of the weights, and the type in which layers compute.
_PRECISIONS: dict[str, tuple[Any, Any]] = {
    "float32": (np.float32, np.float32),
    "tf32": (np.float32, np.float32),
    "bfloat16": (np.float32, jnp.bfloat16),
    "float16": (np.float32, np.float16),
    "float64": (np.float64, np.float64),
}
_LOOPS: dict[str, type[Loop]] = {"jit": JitLoop, "scan": ScanLoop}


class JaxSession(Session):
    """The training state, the training set on devices, and compiled programs."""

    def __init__(self, workload: Workload) -> None:
        self._places = Places(platform.sharing_devices(workload.device, workload.world_size))
        self._device = self._places.first
        self._dtype, self._short = (np.dtype(kind) for kind in _PRECISIONS[workload.precision])
        self._products = "tensorfloat32" if workload.precision == "tf32" else "highest"
        self._addresses = list(workload.weights)
        self._input_shape = workload.model.input_shape
        kind = workload.device.kind
        apply = lower(workload.model, windowed_for(kind, _LOOPS[workload.mode] is ScanLoop))
        infer = lower(workload.model, windowed_for(kind, in_loop=False))
        differentiate = make_differentiate(
            apply,
            workload.seed,
            loss_scale(workload.precision),
            self._places.shared_fetch(self._fetch(workload)),
        )
        self._differentiate = jax.jit(self._places.everywhere(differentiate))
        self._infer = jax.jit(
            lambda weights, images: infer(weights, images.astype(self._short), False, None)[0]
        )
        self._rule = update_rule(workload.optimizer, jnp.sqrt)
        step = self._places.everywhere(make_step(differentiate, self._rule))
        self._loop = self._make_loop(workload, step)
        self._programs: dict[tuple[int, ...], Any] = {}
        with self._settings():
            self._data = self._resident(workload)
            self._state = self._initial_state(workload)
            jax.block_until_ready((self._data, self._state))

    def compile(self, steps: int, batch_size: int) -> None:
        """Compile ahead of time, without running; see `Session.compile`."""
        batches = np.zeros((steps, batch_size), np.int32)
        with self._settings():
            self._program(self._plan(batches, np.zeros(steps)))

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        with self._settings():
            plan = self._plan(batches, learning_rates)
            program = self._program(plan)
            self._state, losses = self._loop.run(program, self._state, plan, self._data)
            jax.block_until_ready(self._state)
            return np.array(jax.device_get(losses), np.float32)

    def predict(self, images: FloatArray) -> FloatArray:
        """Return logits (n, classes); see `Session.predict`."""
        with self._settings():
            placed = jax.device_put(images, self._device, may_alias=False)
            return np.array(self._infer(self._everything(), placed))

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """Return the compiled program, without the work that `predict` repeats at each call."""
        if self._dtype == np.float64:  # outside of `_settings`, JAX converts it to float32
            return self.predict
        with self._settings():
            weights = self._everything()
            given = jax.ShapeDtypeStruct((batch_size, *self._input_shape), np.float32)
            program = self._infer.lower(weights, given).compile()

        def predict(images: FloatArray) -> FloatArray:
            return np.asarray(program(weights, images))

        return predict

    def _everything(self) -> dict[str, Any]:
        """Return all weights and statistics on the first device, where predictions run."""
        return on_first({**self._state.weights, **self._state.statistics})

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients for one batch; see `Session.gradients`."""
        part_of(len(batch), self._places.number)
        with self._settings():
            batch = self._given(batch)
            loss, logits, gradients, _ = self._differentiate(self._state, batch, self._data)
            return Gradients(np.array(logits), float(loss), on_host(gradients))

    def weights(self) -> Weights:
        """Return all weights and running statistics, in the session's precision."""
        held = on_host(self._everything())
        return {address: held[address] for address in self._addresses}

    def agree(self, decision: bool = True) -> bool:
        """Wait for all hosts and return the decision of rank 0; see `Session.agree`."""
        return platform.agree(decision)

    def device_memory(self) -> Optional[int]:
        """Return the peak of the first device's allocator; None on the CPU."""
        return platform.peak_memory(self._device)

    def _settings(self) -> AbstractContextManager[None]:
        """Use the session's device and precision inside the context."""
        return platform.settings(self._device, self._dtype, self._products)

    def _fetch(self, workload: Workload) -> Fetch:
        if workload.input == "resident":
            return fetch_resident
        return lambda batch, data: scaled(batch, self._short)

    def _make_loop(self, workload: Workload, step: Step) -> Loop:
        if workload.input == "resident":
            self._given: Callable[[IntArray], Any] = lambda batch: batch
            waits = workload.mode == "jit" and self._places.are_parts_of_the_cpu
            return WaitingLoop(step) if waits else _LOOPS[workload.mode](step)
        load = loader(workload.images, workload.labels, self._device)
        self._given = lambda batch: next(load(batch[np.newaxis]))
        return PipelineLoop(step, load)

    def _resident(self, workload: Workload) -> Data:
        """Place the training set on the device; with a pipeline, it stays on the host."""
        if workload.input == "pipeline":
            return Data(None, None)
        images = self._places.place(workload.images.astype(self._short, copy=False))
        return Data(images, self._places.place(workload.labels))

    def _initial_state(self, workload: Workload) -> State:
        specs = weight_specs(workload.model)
        placed = {
            address: self._places.place(value.astype(self._dtype))
            for address, value in workload.weights.items()
        }
        weights = {address: value for address, value in placed.items() if specs[address].trainable}
        statistics = {address: placed[address] for address in placed if address not in weights}
        slots = initial_slots(self._rule, weights, jnp.zeros_like)
        return State(weights, statistics, slots, self._places.place(np.zeros((), np.int32)))

    def _plan(self, batches: IntArray, learning_rates: FloatArray) -> Plan:
        part_of(batches.shape[1], self._places.number)
        return Plan(batches.astype(np.int32), learning_rates.astype(self._dtype))

    def _program(self, plan: Plan) -> Any:
        """Return the program for a plan of this shape, compiled at its first use."""
        shape = self._loop.shape(plan)
        if shape not in self._programs:
            self._programs[shape] = self._loop.compile(self._state, plan, self._data)
        return self._programs[shape]
