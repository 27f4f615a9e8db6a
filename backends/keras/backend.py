"""Keras as a backend, whatever engine it runs on."""

from __future__ import annotations

from typing import Optional

import keras

from backends.api import Backend, Device, Work, Workload
from backends.keras.engine import Engine
from backends.keras.session import KerasSession
from backends.native import Defaults
from backends.tensorflow.native import keras_defaults


class KerasBackend(Backend):
    """Keras in this process, on the engine that the variable KERAS_BACKEND names.

    Attributes:
        engine: the class of the engine.
    """

    engine: type[Engine]

    def __init__(self, threads: int) -> None:
        """Configure the engine, then undo what the user's own Keras configuration may change."""
        self._engine = self.engine(threads)
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")

    def versions(self) -> dict[str, str]:
        """Return the versions of Keras and its engine."""
        return {"keras": str(keras.__version__), **self._engine.framework.versions()}

    def devices(self) -> list[Device]:
        """Return the devices of the engine."""
        return self._engine.framework.devices()

    def native_defaults(self, seed: int) -> Defaults:
        """Return the default choices of Keras's layers and optimizers."""
        return keras_defaults(seed)

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return the engine's product of two matrices; see `Backend.multiply`."""
        return self._engine.framework.multiply(size, device, precision)

    def copy(self, size: int, device: Device) -> Optional[Work]:
        """Return the engine's copy in device memory; see `Backend.copy`."""
        return self._engine.framework.copy(size, device)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether the engine reports that memory ran out."""
        return self._engine.framework.is_out_of_memory(error)

    def _session(self, workload: Workload) -> KerasSession:
        return KerasSession(workload, self._engine)
