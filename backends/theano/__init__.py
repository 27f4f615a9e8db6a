"""Theano and its successor PyTensor: a graph of symbolic expressions that is compiled to C++."""

from __future__ import annotations

from backends.api import Recipe

_SYSTEM_PACKAGES = {"g++": "g++", "libopenblas-dev": "lib:openblas"}

THEANO = Recipe(
    name="theano",
    title="Theano",
    # NumPy 1.24 removed names that Theano, which is no longer maintained, still uses.
    requirements=("Theano==1.0.5", "numpy==1.23.5", "scipy<1.12"),
    modes=("fast_run", "fast_compile"),
    default_modes=("fast_run",),
    adapter="backends.theano.backend:TheanoBackend",
    python=">=3.9,<3.12",
    system_packages=_SYSTEM_PACKAGES,
    isolated=True,
    # The user's own settings file could change what is compiled.
    environment={"THEANORC": "/dev/null"},
    # Otherwise compiled code is removed with the trial's folder.
    warm={"THEANO_FLAGS": "base_compiledir={cache}"},
    precisions=("float32", "float64"),
)
# Its modes compile the graph with Numba, or as Theano does.
PYTENSOR = Recipe(
    name="pytensor",
    title="PyTensor",
    requirements=("pytensor==3.0.7", "numpy>=2.0"),
    modes=("numba", "cvm"),
    default_modes=("numba",),
    adapter="backends.theano.backend:PyTensorBackend",
    python=">=3.11,<3.15",
    system_packages=_SYSTEM_PACKAGES,
    isolated=True,
    environment={"PYTENSORRC": "/dev/null"},
    warm={"PYTENSOR_FLAGS": "base_compiledir={cache}"},
    precisions=("float32", "float64"),
)
