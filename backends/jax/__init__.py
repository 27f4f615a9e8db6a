"""JAX: pure functions under jit, one step a call or a whole scan of steps, with donated state."""

from backends.api import Recipe

RECIPE = Recipe(
    name="jax",
    title="JAX",
    requirements=("jax>=0.10", "jaxlib>=0.10"),
    modes=("jit", "scan"),
    default_modes=("jit", "scan"),
    adapter="backends.jax.session:JaxBackend",
    environment={
        # By default JAX reserves three quarters of a GPU's memory when it starts.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        # On the CPU each call of a program allocates its work space anew. The C library would hand
        # it back to the kernel after each step and have it cleared before the next.
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(2**32),
    },
)
