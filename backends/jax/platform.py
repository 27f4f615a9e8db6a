"""What this machine and the installed JAX offer: devices, versions, memory."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Optional

import jax

from backends.api import Device, Unsupported

# JAX's name of a platform, and the suite's; cuda and rocm both go by gpu.
_KINDS = {"gpu": "gpu", "METAL": "mps", "mps": "mps"}


def devices() -> list[Device]:
    """GPUs, then Apple's, then the CPU."""
    found = [
        Device(_KINDS[device.platform], index, str(device.device_kind))
        for index, device in enumerate(jax.devices())
        if device.platform in _KINDS
    ]
    return [*found, Device("cpu")]


def jax_device(device: Device) -> Any:
    """JAX's handle of a device; the CPU is there beside any accelerator."""
    return jax.devices("cpu")[0] if device.kind == "cpu" else jax.devices()[device.index]


def sharing_devices(device: Device, world_size: int) -> list[Any]:
    """So many of JAX's devices, of the device's kind and from it on.

    Raises:
        Unsupported: there are fewer.
    """
    first = jax_device(device)
    alike = jax.devices(first.platform)
    found: list[Any] = alike[alike.index(first) :][:world_size]
    if len(found) < world_size:
        raise Unsupported(
            f"world size {world_size}: from {device.name} on, JAX sees {len(found)} of them"
        )
    return found


def precisions(device: Device) -> list[str]:
    """What the device computes in: float16 on GPUs; TF32 and bfloat16 on those that have them."""
    if device.kind == "mps":
        return ["float32"]
    if device.kind == "cpu":
        return ["float32", "bfloat16", "float64"]
    known = ["float32", "float16", "float64"]
    # On NVIDIA's devices "8.0" and above; AMD's go by other names, "gfx90a", and have no TF32.
    capability = str(getattr(jax_device(device), "compute_capability", ""))
    if capability.startswith("gfx"):
        return [*known, "bfloat16"]
    return [*known, *(["tf32", "bfloat16"] if float(capability or 0) >= 8 else [])]


def versions() -> dict[str, str]:
    """JAX, jaxlib and, the plug-in (PJRT) that reaches an accelerator."""
    known = {"jax": str(jax.__version__), "jaxlib": version("jaxlib")}
    client = jax.devices()[0].client
    if client.platform != "cpu":
        known["pjrt"] = " ".join(str(client.platform_version).split())
    return known


def peak_memory(device: Any) -> Optional[int]:
    """The most bytes that the device's allocator has held; None where it does not count."""
    statistics = device.memory_stats() or {}
    return statistics.get("peak_bytes_in_use") or None


def is_out_of_memory(error: Exception) -> bool:
    """Whether XLA gave up for want of memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
