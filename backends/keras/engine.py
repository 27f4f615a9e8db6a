"""The parts of training that Keras leaves to its engine, the framework below it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Callable, ClassVar, NamedTuple, Optional

import numpy.typing as npt

from backends.api import Backend, Device

# Images and labels of a batch -> logits, mean loss, gradients in the order of the model's trainable
# variables; a training-mode pass that may change the other variables.
Differentiate = Callable[[Any, Any], tuple[Any, Any, Sequence[Any]]]
# Elementwise functions by the spec's names.
Functions = Mapping[str, Callable[[Any], Any]]


class Mode(NamedTuple):
    """The arguments of `Model.compile` in a mode.

    Attributes:
        jit: whether the framework compiles the step.
        steps: the number of steps per call of the step function.
    """

    jit: bool
    steps: int


MODES = {"plain": Mode(False, 1), "jit": Mode(True, 1), "multistep": Mode(True, 16)}


class Engine(ABC):
    """A framework that Keras runs on.

    Attributes:
        framework: this suite's backend of the framework.
        activations: functions that replace Keras's own.
    """

    framework: Backend
    activations: ClassVar[Functions] = {}

    @abstractmethod
    def __init__(self, threads: int) -> None:
        """Configure the framework for `threads` CPU threads."""

    def settings(self) -> AbstractContextManager[object]:
        """Return the settings while Keras computes, so that float32 means float32."""
        return nullcontext()

    @abstractmethod
    def differentiator(self, model: Any, jit: bool) -> Differentiate:
        """Return a forward and backward pass of a compiled Keras model."""

    @abstractmethod
    def wait(self, model: Any, device: Device) -> None:
        """Wait until the device is idle and the model's variables have their values."""

    @abstractmethod
    def to_numpy(self, tensor: Any) -> npt.NDArray[Any]:
        """Convert a tensor of the framework to NumPy with the framework's own function.

        `keras.ops.convert_to_numpy` calls `np.array`, and NumPy 2 warns about tensors whose
        `__array__` does not support `copy`.
        """

    @abstractmethod
    def peak_memory(self, device: Device) -> Optional[int]:
        """Return the peak bytes of the device's allocator; None where unknown."""
