"""MLX: lazy arrays and function transformations, with the whole step compiled or eager."""

from backends.api import Recipe

RECIPE = Recipe(
    name="mlx",
    title="MLX",
    requirements=("mlx[cpu]>=0.32",),
    modes=("compile", "eager"),
    default_modes=("compile",),
    adapter="backends.mlx.backend:MlxBackend",
    python=">=3.10",
    # On a CPU, a compiled function is C++ that is written to a file and compiled on the spot.
    # Of the BLAS in the wheel, see `backends.mlx.blas`.
    system_packages={"g++": "g++", "libopenblas0": "lib:openblas"},
    # Without this, what is compiled goes with the trial's folder.
    warm={"TMPDIR": "{cache}"},
    # In float64, its `exp` and `erf` on a CPU are right to seven digits alone.
    precisions=("float32",),
)
