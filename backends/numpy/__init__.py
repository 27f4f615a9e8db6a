"""NumPy: forward and backward passes written out; the reference in float64."""

from backends.api import Recipe

RECIPE = Recipe(
    name="numpy",
    title="NumPy",
    requirements=("numpy>=1.26",),
    modes=("eager",),
    default_modes=("eager",),
    adapter="backends.numpy.backend:NumpyBackend",
    precisions=("float32", "float64"),
    inputs=("resident", "pipeline"),
)
