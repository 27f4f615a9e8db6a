"""The fastest matrix product and copy of PyTorch."""

from __future__ import annotations

from typing import Optional

import torch

from backends.api import Device, Work
from backends.torch import platform

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def multiply(size: int, device: Device, precision: str) -> Optional[Work]:
    """Return a matrix product; see `Backend.multiply`."""
    dtype = _PRECISIONS.get(precision)
    if dtype is None:
        return None
    place = platform.torch_device(device)
    left, right, product = (torch.ones(size, size, dtype=dtype, device=place) for _ in range(3))

    def work() -> None:
        torch.mm(left, right, out=product)
        platform.synchronise(place)

    return work


def copy(size: int, device: Device) -> Work:
    """Return a copy in memory; see `Backend.copy`."""
    place = platform.torch_device(device)
    source, target = (torch.ones(size // 4, device=place) for _ in range(2))

    def work() -> None:
        target.copy_(source)
        platform.synchronise(place)

    return work
