"""PyTensor, Theano's successor: a graph of symbolic expressions, compiled by Numba or as C++."""

from backends.api import Recipe

RECIPE = Recipe(
    name="pytensor",
    title="PyTensor",
    requirements=("pytensor==3.0.7", "numpy>=2.0"),
    modes=("numba", "cvm"),
    default_modes=("numba",),
    adapter="backends.pytensor.backend:PyTensorBackend",
    python=">=3.11,<3.15",
    system_packages={"g++": "g++", "libopenblas-dev": "lib:openblas"},
    isolated=True,
    # A user's own file of settings could change what is compiled.
    environment={"PYTENSORRC": "/dev/null"},
    # Without this, what is compiled goes with the trial's folder.
    warm={"PYTENSOR_FLAGS": "base_compiledir={cache}"},
    precisions=("float32", "float64"),
)
