"""JAX: pure functions under jit, one step per call or a scan of all steps, with donated state."""

from backends.api import Recipe

RECIPE = Recipe(
    name="jax",
    title="JAX",
    requirements=("jax>=0.10", "jaxlib>=0.10"),
    gpu_requirements=("jax[cuda13]>=0.10",),
    modes=("jit", "scan"),
    default_modes=("jit", "scan"),
    adapter="backends.jax.backend:JaxBackend",
    # By default, JAX reserves three quarters of a GPU's memory when it starts.
    environment={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    # Without a folder JAX has no cache on disk; by default it skips quick compilations.
    warm={
        "JAX_COMPILATION_CACHE_DIR": "{cache}",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    },
    precisions=("float32", "bfloat16", "float64"),
    inputs=("resident", "pipeline"),
    gpu_precisions=("float16", "tf32"),
    parallel_modes=("jit", "scan"),
    # The number of CPU devices; all accelerators are available anyway.
    parallel_environment={"JAX_NUM_CPU_DEVICES": "{world_size}"},
    joins_hosts=True,
)
