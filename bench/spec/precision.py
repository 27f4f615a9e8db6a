"""The precisions of the arithmetic, which mean the same in every framework.

- float64, float32: everything has this type; TF32 is off on a GPU.
- tf32: as float32, but a GPU's matrix units round the operands of dense and convolution layers to
  a significand of 11 bits and accumulate in float32.
- bfloat16, float16: mixed precision. Weights, running statistics, the optimizer's state and the
  gradients that the optimizer receives are float32. Images, kernels and biases are rounded to the
  short type, as are the output of each layer and the gradient of each layer's input. Batch
  normalisation computes in float32 and rounds its output. Logits are converted to float32 before
  the loss.
- float16 cannot represent small gradients, so the loss is multiplied by 1024 before the backward
  pass, and the float32 gradients of the weights are divided by 1024.
"""

from __future__ import annotations

PRECISIONS = ("float32", "bfloat16", "tf32", "float16", "float64")

_LOSS_SCALES = {"float16": 1024.0}


def is_mixed(precision: str) -> bool:
    """Return whether layers compute in a shorter type than that of the weights."""
    return precision in ("bfloat16", "float16")


def loss_scale(precision: str) -> float:
    """Return the factor of the loss in the backward pass, a power of two to avoid rounding.

    It is constant so that every framework does the same (Micikevicius et al., Mixed Precision
    Training, 2018, section 3.2).
    """
    return _LOSS_SCALES.get(precision, 1.0)
