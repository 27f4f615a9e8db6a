"""An input pipeline for JAX, which has none of its own: NumPy in a thread that runs ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy.typing as npt

from backends.jax.steps import JitLoop, Plan, Step
from bench.spec.weights import IntArray

_AHEAD = 4  # batches

# Brings the batches of (steps, batch) indices one after the other.
Loader = Callable[[IntArray], Iterator[tuple[Any, Any]]]


def loader(pixels: npt.NDArray[Any], labels: IntArray, device: Any) -> Loader:
    """A loader of batches of uint8 pixels and labels from the host's memory to the device."""

    def load(batches: IntArray) -> Iterator[tuple[Any, Any]]:
        ready: queue.Queue[Any] = queue.Queue(_AHEAD)
        leave = threading.Event()

        def run_ahead() -> None:
            for batch in batches:
                if leave.is_set():
                    return
                ready.put(jax.device_put((pixels[batch], labels[batch]), device))

        thread = threading.Thread(target=run_ahead, daemon=True)
        thread.start()
        try:
            for _ in batches:
                yield ready.get()
        finally:
            leave.set()

    return load


def scaled(batch: tuple[Any, Any], dtype: Any) -> tuple[Any, Any]:
    """What a loader brings as the model takes it: images of -1 to 1, and labels."""
    pixels, labels = batch
    kept = jnp.promote_types(dtype, jnp.float32)
    return (pixels.astype(kept) * (2 / 255) - 1).astype(dtype), labels


class PipelineLoop(JitLoop):
    """One compiled step a call, on a batch that the loader has brought."""

    def __init__(self, step: Step, load: Loader) -> None:
        super().__init__(step)
        self._load = load

    def batches(self, plan: Plan) -> Iterator[tuple[Any, Any]]:
        """The images and labels of each step; the loader works meanwhile."""
        return self._load(plan.batch)
