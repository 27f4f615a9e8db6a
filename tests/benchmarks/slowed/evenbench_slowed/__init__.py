"""JAX with a planted slowdown, which a run must find; see `benchmarks.verdicts`."""

import msgspec

from backends.jax import RECIPE as JAX

RECIPE = msgspec.structs.replace(
    JAX,
    name="slowed",
    title="JAX, slowed",
    modes=("jit",),
    default_modes=("jit",),
    adapter="evenbench_slowed.backend:SlowedBackend",
)
