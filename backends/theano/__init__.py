"""Theano: a graph of symbolic expressions, turned into C++ that is compiled on the spot."""

from backends.api import Recipe

RECIPE = Recipe(
    name="theano",
    title="Theano",
    # NumPy 1.24 dropped names that Theano, no longer mended, still uses.
    requirements=("Theano==1.0.5", "numpy==1.23.5", "scipy<1.12"),
    modes=("fast_run", "fast_compile"),
    default_modes=("fast_run",),
    adapter="backends.theano.backend:TheanoBackend",
    python=">=3.9,<3.12",
    system_packages={"g++": "g++", "libopenblas-dev": "lib:openblas"},
    isolated=True,
    # A user's own file of settings could change what is compiled.
    environment={"THEANORC": "/dev/null"},
    # Without this, what is compiled goes with the trial's folder.
    warm={"THEANO_FLAGS": "base_compiledir={cache}"},
    precisions=("float32", "float64"),
)
