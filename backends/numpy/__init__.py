"""NumPy: forward and backward written out; the reference in float64, a contender in float32."""

from backends.api import Recipe

RECIPE = Recipe(
    name="numpy",
    title="NumPy",
    requirements=("numpy>=1.26",),
    modes=("eager",),
    default_modes=("eager",),
    adapter="backends.numpy.session:NumpyBackend",
    # NumPy allocates every result anew. As glibc starts, each large array goes back to the kernel
    # and the next one faults its pages in again: a fifth of a convolution network's step.
    environment={"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**32)},
)
