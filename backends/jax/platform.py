"""The devices, precisions and versions of the installed JAX, and its memory statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any, Optional

import jax
import numpy as np
from jax.experimental import multihost_utils

from backends.api import Device, Unsupported
from bench.spec.process_group import ProcessGroup

# The suite's device kind by JAX's platform; CUDA and ROCm are both "gpu".
_KINDS = {"gpu": "gpu", "METAL": "mps", "mps": "mps"}


def join(group: ProcessGroup) -> None:
    """Start JAX as one of several processes, which see each other's devices.

    CPUs exchange tensors with Gloo; accelerators have their own libraries.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        coordinator_address=group.addresses[0],
        num_processes=group.size,
        process_id=group.rank,
    )


def agree(decision: bool) -> bool:
    """Wait for the other processes and return the decision of process 0."""
    if jax.process_count() == 1:
        return decision
    return bool(multihost_utils.broadcast_one_to_all(np.int32(decision)))


def devices() -> list[Device]:
    """Return the GPUs of this process, then the CPU."""
    found = [
        Device(_KINDS[device.platform], index, str(device.device_kind))
        for index, device in enumerate(jax.local_devices())
        if device.platform in _KINDS
    ]
    return [*found, Device("cpu")]


def jax_device(device: Device) -> Any:
    """Return JAX's object of a device; the CPU is available in addition to accelerators."""
    if device.kind == "cpu":
        return jax.local_devices(backend="cpu")[0]
    return jax.local_devices()[device.index]


def sharing_devices(device: Device, world_size: int) -> list[Any]:
    """Return the devices of a data-parallel training, the same number of each process.

    Args:
        device: the first of them on each machine.
        world_size: their number.

    Raises:
        Unsupported: there are fewer.
    """
    kind = jax_device(device).platform
    if world_size == 1:
        return [jax_device(device)]
    number = world_size // jax.process_count()
    found: list[Any] = []
    for process in range(jax.process_count()):
        own = jax.local_devices(process, kind)[device.index :][:number]
        if len(own) < number:
            raise Unsupported(
                f"world size {world_size}: from {device.name} on, JAX sees {len(own)} of them"
                + (f" on host {process}, expected {number}" if jax.process_count() > 1 else "")
            )
        found += own
    return found


def precisions(device: Device) -> list[str]:
    """Return the precisions of a device: float16 on GPUs, TF32 and bfloat16 on newer ones."""
    if device.kind == "mps":
        return ["float32"]
    if device.kind == "cpu":
        return ["float32", "bfloat16", "float64"]
    known = ["float32", "float16", "float64"]
    # "8.0" or above on newer NVIDIA GPUs; AMD GPUs have names like "gfx90a" and no TF32.
    capability = str(getattr(jax_device(device), "compute_capability", ""))
    if capability.startswith("gfx"):
        return [*known, "bfloat16"]
    return [*known, *(["tf32", "bfloat16"] if float(capability or 0) >= 8 else [])]


def versions() -> dict[str, str]:
    """Return the versions of JAX, jaxlib and the accelerator's plug-in (PJRT)."""
    known = {"jax": str(jax.__version__), "jaxlib": version("jaxlib")}
    client = jax.local_devices()[0].client
    if client.platform != "cpu":
        known["pjrt"] = " ".join(str(client.platform_version).split())
    return known


@contextmanager
def settings(device: Any, dtype: Any, products: str = "highest") -> Iterator[None]:
    """Use a device, the weights' type and a precision of products inside the context."""
    with ExitStack() as stack:
        stack.enter_context(jax.default_device(device))
        stack.enter_context(jax.enable_x64(dtype == np.float64))
        stack.enter_context(jax.default_matmul_precision(products))
        yield


def peak_memory(device: Any) -> Optional[int]:
    """Return the peak bytes of the device's allocator; None where it has no statistics."""
    statistics = device.memory_stats() or {}
    return statistics.get("peak_bytes_in_use") or None


def is_out_of_memory(error: Exception) -> bool:
    """Return whether XLA ran out of memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
