"""What Keras leaves to the framework below it, as each engine's module states it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Callable, NamedTuple, Optional

import numpy.typing as npt

from backends.api import Backend, Device

# Images and labels of a batch -> logits, mean loss, gradients in the order of the model's trainable
# variables; a pass in training mode that may move what is not trained.
Differentiate = Callable[[Any, Any], tuple[Any, Any, Sequence[Any]]]
# Elementwise functions by the spec's names.
Functions = Mapping[str, Callable[[Any], Any]]


class Mode(NamedTuple):
    """What `Model.compile` is told.

    Attributes:
        jit: whether the framework's compiler takes the step.
        steps: how many steps a call of the step function runs.
    """

    jit: bool
    steps: int


MODES = {"plain": Mode(False, 1), "jit": Mode(True, 1), "multistep": Mode(True, 16)}


class Engine(ABC):
    """A framework that Keras runs on.

    Attributes:
        framework: this suite's backend of it, which knows threads, devices, peak and errors.
        activations: what takes the place of Keras' own functions.
    """

    framework: Backend
    activations: Functions

    def settings(self) -> AbstractContextManager[object]:
        """What must be set while Keras computes, so that float32 means float32."""
        return nullcontext()

    @abstractmethod
    def differentiator(self, model: Any, jit: bool) -> Differentiate:
        """One pass of a compiled Keras model, forward and backward."""

    @abstractmethod
    def wait(self, model: Any, device: Device) -> None:
        """Return when the device is idle and the model's variables are there."""

    @abstractmethod
    def to_numpy(self, tensor: Any) -> npt.NDArray[Any]:
        """The framework's tensor, or Keras's value of a variable, by the framework's own way.

        `keras.ops.convert_to_numpy` calls `np.array` on it, of which NumPy 2 warns for tensors
        whose `__array__` does not know `copy`.
        """

    @abstractmethod
    def peak_memory(self, device: Device) -> Optional[int]:
        """Peak bytes of the device's allocator; None where it is not known."""
