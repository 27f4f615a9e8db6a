"""JAX as a backend."""

from __future__ import annotations

from typing import Optional

from backends.api import Backend, Device, Session, Work, Workload
from backends.jax import RECIPE, peak, platform
from backends.jax.native import jax_defaults
from backends.jax.session import JaxSession
from backends.native import Defaults
from bench.spec.process_group import ProcessGroup


class JaxBackend(Backend):
    """JAX on all devices that its installed plug-ins support."""

    recipe = RECIPE

    def __init__(self, threads: int) -> None:
        """Do nothing: XLA starts as many CPU threads as the process's affinity allows.

        The worker binds the process to `threads` CPUs before it imports this module, and JAX has
        no setting of its own.
        """

    def join(self, group: ProcessGroup) -> None:
        """Start JAX as one of several processes; see `Backend.join`."""
        platform.join(group)

    def versions(self) -> dict[str, str]:
        """Return the versions of JAX, jaxlib and the accelerator's plug-in."""
        return platform.versions()

    def devices(self) -> list[Device]:
        """Return the devices that JAX sees; accelerators come first."""
        return platform.devices()

    def precisions(self, device: Device) -> list[str]:
        """Return the precisions that a device supports."""
        return platform.precisions(device)

    def inputs(self, mode: str) -> tuple[str, ...]:
        """Return the inputs of a mode: a scan needs all batches at once, which a loader has not."""
        return RECIPE.inputs if mode == "jit" else ("resident",)

    def native_defaults(self, seed: int) -> Defaults:
        """Return the default choices of JAX's example libraries."""
        return jax_defaults(seed)

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return a product of two matrices; see `Backend.multiply`."""
        return peak.multiply(size, device, precision)

    def copy(self, size: int, device: Device) -> Work:
        """Return a copy in device memory; see `Backend.copy`."""
        return peak.copy(size, device)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether the error means that the host or device ran out of memory."""
        return super().is_out_of_memory(error) or platform.is_out_of_memory(error)

    def _session(self, workload: Workload) -> Session:
        return JaxSession(workload)
