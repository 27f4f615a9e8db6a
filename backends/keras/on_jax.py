"""Keras on JAX."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Optional

import jax
import numpy as np
import numpy.typing as npt

from backends.api import Device
from backends.jax import platform
from backends.jax.backend import JaxBackend
from backends.jax.lowering import relu6
from backends.keras import JAX
from backends.keras.backend import KerasBackend
from backends.keras.engine import Differentiate, Engine, Functions


class JaxEngine(Engine):
    """JAX: XLA compiles the step, and Keras calls it once per batch."""

    activations: ClassVar[Functions] = {"relu6": relu6}

    def __init__(self, threads: int) -> None:
        """Do not set threads; see `JaxBackend`."""
        self.framework = JaxBackend(threads)

    @contextmanager
    def settings(self) -> Iterator[None]:
        """See `Engine.settings`."""
        with jax.default_matmul_precision("highest"):
            yield

    def differentiator(self, model: Any, jit: bool) -> Differentiate:
        """See `Engine.differentiator`; the model does not change."""

        def loss_of(trained: Any, others: Any, images: Any, labels: Any) -> tuple[Any, Any]:
            logits, _ = model.stateless_call(trained, others, images, training=True)
            return model.loss(labels, logits), logits

        compiled = jax.jit(jax.value_and_grad(loss_of, has_aux=True))

        def differentiate(images: Any, labels: Any) -> tuple[Any, Any, Any]:
            trained = [variable.value for variable in model.trainable_variables]
            others = [variable.value for variable in model.non_trainable_variables]
            (loss, logits), gradients = compiled(trained, others, images, labels)
            return logits, loss, gradients

        return differentiate

    def wait(self, model: Any, device: Device) -> None:
        """See `Engine.wait`."""
        jax.block_until_ready([variable.value for variable in model.variables])

    def to_numpy(self, tensor: Any) -> npt.NDArray[Any]:
        """See `Engine.to_numpy`."""
        return np.asarray(tensor)

    def peak_memory(self, device: Device) -> Optional[int]:
        """See `Engine.peak_memory`."""
        return platform.peak_memory(platform.jax_device(device))


class KerasOnJax(KerasBackend):
    """Keras with JAX, on all devices that JAX supports."""

    recipe = JAX
    engine = JaxEngine
