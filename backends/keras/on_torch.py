"""Keras on PyTorch."""

from __future__ import annotations

from typing import Any, Optional

import numpy.typing as npt
import torch

from backends.api import Device
from backends.keras import TORCH
from backends.keras.backend import KerasBackend
from backends.keras.engine import Differentiate, Engine
from backends.torch import platform
from backends.torch.backend import TorchBackend


class TorchEngine(Engine):
    """PyTorch: the step is a Python function."""

    def __init__(self, threads: int) -> None:
        """Set threads as for PyTorch, and disable TF32."""
        self.framework = TorchBackend(threads)
        platform.allow_tf32(False)

    def differentiator(self, model: Any, jit: bool) -> Differentiate:
        """See `Engine.differentiator`."""

        def differentiate(images: Any, labels: Any) -> tuple[Any, Any, Any]:
            logits = model(images, training=True)
            loss = model.loss(labels, logits)
            weights = [variable.value for variable in model.trainable_variables]
            return logits, loss, torch.autograd.grad(loss, weights)

        return differentiate

    def wait(self, model: Any, device: Device) -> None:
        """See `Engine.wait`."""
        platform.synchronise(platform.torch_device(device))

    def to_numpy(self, tensor: Any) -> npt.NDArray[Any]:
        """See `Engine.to_numpy`."""
        values: npt.NDArray[Any] = tensor.detach().cpu().numpy()
        return values

    def peak_memory(self, device: Device) -> Optional[int]:
        """See `Engine.peak_memory`; torch has one on CUDA and ROCm."""
        if device.kind != "gpu":
            return None
        return int(torch.cuda.max_memory_allocated(platform.torch_device(device)))


class KerasOnTorch(KerasBackend):
    """Keras with PyTorch, on the CPU, on CUDA or ROCm devices, or on Apple's GPU."""

    recipe = TORCH
    engine = TorchEngine
