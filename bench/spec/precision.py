"""The precisions of the arithmetic, and what each means in every framework.

- float64, float32: everything in that type; on a GPU with TF32 off.
- tf32: float32, but a GPU's matrix units round the operands of dense and convolution layers to
  11 bits, and add in float32.
- bfloat16, float16: mixed precision. Weights, running statistics, the optimizer's state and the
  gradients that it is given are float32. The images, the kernels and the biases are rounded to
  the short type, and so is what each layer hands on, and what it hands back in the backward pass.
  Batch normalisation computes in float32 and rounds its output; logits are raised to float32
  before the loss.
- float16 has no room for small gradients: the loss is multiplied by 1024 before the backward
  pass, and the gradients of the weights, in float32, are divided by it.
"""

from __future__ import annotations

PRECISIONS = ("float32", "bfloat16", "tf32", "float16", "float64")

_LOSS_SCALES = {"float16": 1024.0}


def is_mixed(precision: str) -> bool:
    """Whether layers compute in a shorter type than the weights are kept in."""
    return precision in ("bfloat16", "float16")


def loss_scale(precision: str) -> float:
    """What the loss is multiplied by in the backward pass: a power of two, so nothing is rounded.

    Constant, so that every framework does the same; Micikevicius et al., Mixed Precision
    Training, 2018, section 3.2.
    """
    return _LOSS_SCALES.get(precision, 1.0)
