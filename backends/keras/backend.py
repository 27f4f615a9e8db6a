"""Keras as a backend, whatever engine it runs on."""

from __future__ import annotations

from typing import Optional

import keras

from backends.api import Backend, Device, Recipe, Work, Workload, require
from backends.keras.engine import Engine
from backends.keras.session import KerasSession
from backends.native import Defaults
from backends.tensorflow.native import keras_defaults


class KerasBackend(Backend):
    """Keras in this process, on the one engine that the variable KERAS_BACKEND named."""

    def __init__(self, recipe: Recipe, engine: Engine) -> None:
        """Undo what the user's own file of Keras settings may say."""
        self._recipe = recipe
        self._engine = engine
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")

    def versions(self) -> dict[str, str]:
        """Keras' version, and those of its engine."""
        return {"keras": str(keras.__version__), **self._engine.framework.versions()}

    def devices(self) -> list[Device]:
        """Those of the engine."""
        return self._engine.framework.devices()

    def native_defaults(self, seed: int) -> Defaults:
        """The choices of Keras' layers and optimizers."""
        return keras_defaults(seed)

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """The engine's product of two matrices; see `Backend.multiply`."""
        return self._engine.framework.multiply(size, device, precision)

    def copy(self, size: int, device: Device) -> Optional[Work]:
        """The engine's copy in the device's memory; see `Backend.copy`."""
        return self._engine.framework.copy(size, device)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether the engine says that memory ran out."""
        return self._engine.framework.is_out_of_memory(error)

    def session(self, workload: Workload) -> KerasSession:
        """Build and compile the model; see `Backend.session`."""
        title, device = self._recipe.title, workload.device
        require(title, "device", device.name, [found.name for found in self.devices()])
        require(title, "mode", workload.mode, self._recipe.modes)
        require(title, "input", workload.input, self._recipe.inputs)
        precisions = self._recipe.precisions
        require(title, f"precision on {device.name}", workload.precision, precisions)
        return KerasSession(workload, self._engine)
