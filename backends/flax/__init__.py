"""Flax NNX with Optax, as most people use JAX."""

from backends.api import Recipe
from backends.jax import RECIPE as _JAX

RECIPE = Recipe(
    name="flax",
    title="Flax",
    requirements=("flax>=0.12", "optax>=0.2.8", *_JAX.requirements),
    modes=("jit", "functional"),
    default_modes=("jit", "functional"),
    adapter="backends.flax.backend:FlaxBackend",
    environment=_JAX.environment,
    warm=_JAX.warm,
    precisions=("float32", "float64"),
    engine=_JAX.name,
)
