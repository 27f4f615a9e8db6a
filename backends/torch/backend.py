"""PyTorch as a backend."""

from __future__ import annotations

from typing import Optional

import torch

from backends.api import Backend, Device, Session, Work, Workload
from backends.native import Defaults
from backends.torch import RECIPE, peak, platform
from backends.torch.native import torch_defaults
from backends.torch.parallel import shared_session
from backends.torch.session import TorchSession
from bench.spec.process_group import ALONE, ProcessGroup

_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "MPS backend out of memory",
)


class TorchBackend(Backend):
    """PyTorch on the CPU, on CUDA or ROCm devices, or on Apple's GPU."""

    recipe = RECIPE

    def __init__(self, threads: int) -> None:
        """Set the threads of one operation; a chain of layers has no operations to run at once."""
        torch.set_num_threads(threads)
        # All batches have the same shape: let cuDNN try its algorithms once and use the fastest.
        torch.backends.cudnn.benchmark = True
        self._group = ALONE

    def join(self, group: ProcessGroup) -> None:
        """Remember the group, which the first session connects to; see `Backend.join`."""
        self._group = group

    def versions(self) -> dict[str, str]:
        """Return the versions of torch and of the libraries that it computes with."""
        return platform.versions()

    def devices(self) -> list[Device]:
        """Return the GPUs, then the CPU."""
        return platform.devices()

    def precisions(self, device: Device) -> list[str]:
        """Return the precisions that a device supports."""
        return platform.precisions(device)

    def native_defaults(self, seed: int) -> Defaults:
        """Return the default choices of torch.nn and torch.optim."""
        return torch_defaults(seed)

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return a product of two matrices; see `Backend.multiply`."""
        return peak.multiply(size, device, precision)

    def copy(self, size: int, device: Device) -> Work:
        """Return a copy in device memory; see `Backend.copy`."""
        return peak.copy(size, device)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether the error means that the host or device ran out of memory."""
        kinds = (MemoryError, torch.OutOfMemoryError)
        return isinstance(error, kinds) or any(text in str(error) for text in _OUT_OF_MEMORY)

    def _session(self, workload: Workload) -> Session:
        platform.allow_tf32(workload.precision == "tf32")
        if workload.mode == "compile" and workload.device.kind == "cpu":
            platform.require_compiler()
        if workload.world_size > 1:
            return shared_session(workload, self._group)
        return TorchSession(workload)
