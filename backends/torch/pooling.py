"""Max pooling with torch's own gradient kernel in compiled code on the CPU.

Inductor's own code for the gradient scatters value by value: a compiled step of a network with two
pools took 1.5 times as long as with the kernel of eager mode.
"""

# Nothing of torch is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc, untyped-decorator"

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import max_pool2d


class MaxPool(nn.MaxPool2d):
    """(n, c, h, w) -> (n, c, h', w'), as `torch.nn.MaxPool2d` with integer sizes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maximum of each window."""
        if torch.compiler.is_compiling() and x.device.type == "cpu":
            y, _ = _OpaqueGradient.apply(x, self.kernel_size, self.stride, self.padding)
            return y
        return super().forward(x)


class _OpaqueGradient(torch.autograd.Function):
    """Max pooling whose backward pass is `max_pool_gradient`."""

    @staticmethod
    def forward(x: torch.Tensor, size: int, stride: int, padding: int) -> Any:
        return max_pool2d(x, size, stride, padding, return_indices=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, *ctx.window = inputs
        _, indices = output
        ctx.save_for_backward(x, indices)
        ctx.mark_non_differentiable(indices)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor, _: Any) -> Any:
        return max_pool_gradient(dy, *ctx.saved_tensors, *ctx.window), None, None, None


@torch.library.custom_op("evenbench::max_pool_gradient", mutates_args=())
def max_pool_gradient(
    dy: torch.Tensor, x: torch.Tensor, indices: torch.Tensor, size: int, stride: int, padding: int
) -> torch.Tensor:
    """Return the gradient by x; `indices` come from the forward pass."""
    square = [[extent, extent] for extent in (size, stride, padding, 1)]
    return torch.ops.aten.max_pool2d_with_indices_backward(dy, x, *square, False, indices)


@max_pool_gradient.register_fake
def _(
    dy: torch.Tensor, x: torch.Tensor, indices: torch.Tensor, size: int, stride: int, padding: int
) -> torch.Tensor:
    return torch.empty_like(x)
