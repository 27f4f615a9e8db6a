"""Keras 3 with `compile` and `fit`, as its users write it, on each of its three engines."""

from __future__ import annotations

from backends.api import Recipe
from backends.jax import RECIPE as _JAX
from backends.tensorflow import RECIPE as _TENSORFLOW
from backends.torch import RECIPE as _TORCH


def _on(
    engine: Recipe, modes: tuple[str, ...], default_modes: tuple[str, ...], adapter: str
) -> Recipe:
    """Return the recipe of Keras on an engine, which has the same name in Keras.

    Only float32: on JAX and PyTorch, Keras's type promotion turns float64 into float32 in products.
    """
    return Recipe(
        name=f"keras-{engine.name}",
        title=f"Keras on {engine.title}",
        requirements=("keras>=3.15", *engine.requirements),
        modes=modes,
        default_modes=default_modes,
        adapter=adapter,
        environment={
            # Keras imports TensorFlow on every engine where it is installed, for its data types.
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **engine.environment,
            "KERAS_BACKEND": engine.name,
        },
        cold=engine.cold,
        warm=engine.warm,
        engine=engine.name,
    )


# By default, Keras chooses plain on a CPU and jit on a GPU.
TENSORFLOW = _on(
    _TENSORFLOW,
    ("plain", "jit", "multistep"),
    ("plain",),
    "backends.keras.on_tensorflow:KerasOnTensorFlow",
)
# Without jit, JAX would run one operation after the other.
JAX = _on(_JAX, ("jit", "multistep"), ("jit",), "backends.keras.on_jax:KerasOnJax")
# Here Keras does not support several steps per call, and with jit its step is split into so many
# graphs that compiling `mlp` takes PyTorch minutes.
TORCH = _on(_TORCH, ("plain",), ("plain",), "backends.keras.on_torch:KerasOnTorch")
