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
    # On a CPU, a compiled function is C++ code that g++ compiles. For OpenBLAS, see the adapter.
    system_packages={"g++": "g++", "libopenblas0": "lib:openblas"},
    # Otherwise compiled code is removed with the trial's folder.
    warm={"TMPDIR": "{cache}"},
    # In float64, `exp` and `erf` on a CPU have only seven correct digits.
    precisions=("float32",),
)
