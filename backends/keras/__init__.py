"""Keras 3 as its users write it, with `compile` and `fit`, on each of its three engines."""

from __future__ import annotations

from backends.api import Recipe
from backends.jax import RECIPE as _JAX
from backends.tensorflow import RECIPE as _TENSORFLOW
from backends.torch import RECIPE as _TORCH


def _on(
    engine: Recipe, modes: tuple[str, ...], default_modes: tuple[str, ...], adapter: str
) -> Recipe:
    """The recipe of Keras on an engine, whose name in this suite is Keras' name for it too.

    In float32 alone: on JAX and PyTorch, Keras' rules of promotion take float64 for float32, so
    that its products round.
    """
    return Recipe(
        name=f"keras-{engine.name}",
        title=f"Keras on {engine.title}",
        requirements=("keras>=3.15", *engine.requirements),
        modes=modes,
        default_modes=default_modes,
        adapter=adapter,
        environment={
            # Keras imports TensorFlow on every engine where it is installed, for its types of data.
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **engine.environment,
            "KERAS_BACKEND": engine.name,
        },
        cold=engine.cold,
        warm=engine.warm,
    )


# Keras picks plain on a CPU, and jit where there is a GPU.
TENSORFLOW = _on(
    _TENSORFLOW,
    ("plain", "jit", "multistep"),
    ("plain",),
    "backends.keras.on_tensorflow:KerasOnTensorFlow",
)
# Without jit, Keras would have JAX run one operation after the other.
JAX = _on(_JAX, ("jit", "multistep"), ("jit",), "backends.keras.on_jax:KerasOnJax")
# Keras has no several steps in one call here, and with jit its step falls into so many graphs that
# PyTorch compiles `mlp` for minutes.
TORCH = _on(_TORCH, ("plain",), ("plain",), "backends.keras.on_torch:KerasOnTorch")
