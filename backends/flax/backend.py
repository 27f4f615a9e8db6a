"""Flax as a backend, on the devices of JAX."""

from __future__ import annotations

import flax
import optax

from backends.api import Device, Workload
from backends.flax import RECIPE
from backends.flax.native import flax_defaults
from backends.flax.session import FlaxSession
from backends.jax import platform
from backends.jax.backend import JaxBackend
from backends.native import Defaults


class FlaxBackend(JaxBackend):
    """Flax on all devices that the installed JAX supports."""

    recipe = RECIPE

    def versions(self) -> dict[str, str]:
        """Return the versions of Flax, Optax and JAX."""
        return {"flax": flax.__version__, "optax": optax.__version__, **platform.versions()}

    def precisions(self, device: Device) -> list[str]:
        """Return the precisions that both the recipe and the device support."""
        on_device = super().precisions(device)
        return [precision for precision in RECIPE.precisions if precision in on_device]

    def inputs(self, mode: str) -> tuple[str, ...]:
        """Return the inputs of the recipe, which every mode supports."""
        return RECIPE.inputs

    def native_defaults(self, seed: int) -> Defaults:
        """Return the default choices of Flax's modules and Optax's optimizers."""
        return flax_defaults(seed)

    def _session(self, workload: Workload) -> FlaxSession:
        return FlaxSession(workload)
