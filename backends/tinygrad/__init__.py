"""tinygrad: lazy operations, fused into C that Clang compiles and its JIT replays."""

from backends.api import Recipe

RECIPE = Recipe(
    name="tinygrad",
    title="tinygrad",
    requirements=("tinygrad==0.14.0", "numpy>=1.26"),
    modes=("jit",),
    default_modes=("jit",),
    adapter="backends.tinygrad.backend:TinygradBackend",
    python=">=3.11",
    system_packages={"clang": "clang"},
    isolated=True,
    # Otherwise it uses the first GPU whose driver is installed.
    environment={"DEV": "CPU"},
    warm={"CACHEDB": "{cache}/tinygrad.db"},
)
