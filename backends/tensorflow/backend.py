"""TensorFlow as a backend."""

from __future__ import annotations

from typing import Optional

import tensorflow as tf

from backends.api import Backend, Device, Work, Workload
from backends.native import Defaults
from backends.tensorflow import RECIPE, peak, platform
from backends.tensorflow.native import keras_defaults
from backends.tensorflow.session import TensorFlowSession
from bench.spec.process_group import ALONE, ProcessGroup


class TensorFlowBackend(Backend):
    """TensorFlow on the CPU or on GPUs."""

    recipe = RECIPE

    def __init__(self, threads: int) -> None:
        """Set threads and memory growth; see `platform.configure`."""
        platform.configure(threads)
        self._group = ALONE

    def join(self, group: ProcessGroup) -> None:
        """Remember the group, which the first session connects to; see `Backend.join`."""
        self._group = group

    def versions(self) -> dict[str, str]:
        """Return the versions of TensorFlow and of the GPU's libraries."""
        return platform.versions()

    def devices(self) -> list[Device]:
        """Return the GPUs, then the CPU."""
        return platform.devices()

    def precisions(self, device: Device) -> list[str]:
        """Return the precisions that a device supports."""
        return platform.precisions(device)

    def native_defaults(self, seed: int) -> Defaults:
        """Return the default choices of Keras, through which most people use TensorFlow."""
        return keras_defaults(seed)

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return a product of two matrices; see `Backend.multiply`."""
        return peak.multiply(size, device, precision)

    def copy(self, size: int, device: Device) -> Work:
        """Return a copy in device memory; see `Backend.copy`."""
        return peak.copy(size, device)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether the error means that the host or device ran out of memory."""
        return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError))

    def _session(self, workload: Workload) -> TensorFlowSession:
        tf.config.experimental.enable_tensor_float_32_execution(workload.precision == "tf32")
        return TensorFlowSession(workload, self._group)
