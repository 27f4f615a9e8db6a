"""Keras on TensorFlow."""

from __future__ import annotations

from typing import Any, Optional

import numpy.typing as npt
import tensorflow as tf

from backends.api import Device
from backends.keras import TENSORFLOW
from backends.keras.backend import KerasBackend
from backends.keras.engine import Differentiate, Engine
from backends.tensorflow import platform
from backends.tensorflow.backend import TensorFlowBackend


class TensorFlowEngine(Engine):
    """TensorFlow: the step is a graph, which XLA compiles in mode jit."""

    def __init__(self, threads: int) -> None:
        """Set threads and memory as for TensorFlow, and disable TF32."""
        self.framework = TensorFlowBackend(threads)
        tf.config.experimental.enable_tensor_float_32_execution(False)

    def differentiator(self, model: Any, jit: bool) -> Differentiate:
        """See `Engine.differentiator`."""

        def differentiate(images: Any, labels: Any) -> tuple[Any, Any, Any]:
            with tf.GradientTape() as tape:
                logits = model(images, training=True)
                loss = model.loss(labels, logits)
            return logits, loss, tape.gradient(loss, model.trainable_variables)

        compiled: Differentiate = tf.function(differentiate, autograph=False, jit_compile=jit)
        return compiled

    def wait(self, model: Any, device: Device) -> None:
        """See `Engine.wait`."""
        tf.test.experimental.sync_devices()

    def to_numpy(self, tensor: Any) -> npt.NDArray[Any]:
        """See `Engine.to_numpy`."""
        values: npt.NDArray[Any] = tensor.numpy()
        return values

    def peak_memory(self, device: Device) -> Optional[int]:
        """See `Engine.peak_memory`; TensorFlow has none for the CPU."""
        if device.kind == "cpu":
            return None
        return int(tf.config.experimental.get_memory_info(platform.name_of(device))["peak"])


class KerasOnTensorFlow(KerasBackend):
    """Keras with TensorFlow, on the CPU or on GPUs."""

    recipe = TENSORFLOW
    engine = TensorFlowEngine
