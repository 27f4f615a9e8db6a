"""An input pipeline for JAX, which has none: NumPy in a thread that prepares batches ahead."""

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

# Yields the batch of each row of (steps, batch) indices.
Loader = Callable[[IntArray], Iterator[tuple[Any, Any]]]


def loader(pixels: npt.NDArray[Any], labels: IntArray, device: Any) -> Loader:
    """Make a loader of uint8 pixels and labels from host memory to the device."""

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
    """Return a loader's batch as images scaled to -1 to 1, and labels."""
    pixels, labels = batch
    kept = jnp.promote_types(dtype, jnp.float32)
    return (pixels.astype(kept) * (2 / 255) - 1).astype(dtype), labels


class PipelineLoop(JitLoop):
    """One compiled step per call, on a batch from the loader."""

    def __init__(self, step: Step, load: Loader) -> None:
        super().__init__(step)
        self._load = load

    def batches(self, plan: Plan) -> Iterator[tuple[Any, Any]]:
        """Yield the images and labels of each step; the loader prepares the next ones meanwhile."""
        return self._load(plan.batch)
