"""Modules that torch.nn does not have: flatten order, mixed precision, merges, fast pooling.

Feature maps are (n, channels, height, width) with the channels innermost in memory
(`torch.channels_last`), so the spec's order (n, height, width, channels) is a view of them.
"""

# Nothing of torch is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc, untyped-decorator"

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import torch
from torch import nn
from torch.nn.functional import max_pool2d

from backends.lowering import multiplied


def as_input(images: torch.Tensor) -> torch.Tensor:
    """Return images (n, height, width, channels) as maps for modules; vectors keep their shape.

    Copies nothing: the result is a view in the channels-last format.
    """
    return images.permute(0, 3, 1, 2) if images.dim() == 4 else images


class Mixed(nn.Module):
    """A model that computes in a 16-bit type, with weights in float32.

    Its logits are float32, and so is the loss.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self._dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the model to images of the 16-bit type."""
        with torch.autocast(x.device.type, self._dtype):
            return self.model(x).float()


class Flatten(nn.Module):
    """(n, c, h, w) -> (n, h * w * c), ordered by height, width, channel; a view if possible."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Flatten maps; vectors keep their shape."""
        return x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x


class GlobalAvgPool(nn.Module):
    """(n, c, h, w) -> (n, c)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of each channel."""
        return x.mean((2, 3))


class Add(nn.ModuleList):
    """Adds the branches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply each branch to x and add the outputs."""
        return reduce(operator.add, [branch(x) for branch in self])


class Concatenate(nn.ModuleList):
    """Concatenates the branches along the channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply each branch to x and concatenate the outputs."""
        return torch.cat([branch(x) for branch in self], 1)


class Multiply(nn.ModuleList):
    """Multiplies the branches; a branch (n, c) scales the channels of branches that are maps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply each branch to x and multiply the outputs."""
        product: torch.Tensor = multiplied([branch(x) for branch in self], _as_map)
        return product


def _as_map(vector: torch.Tensor) -> torch.Tensor:
    return vector[:, :, None, None]


class MaxPool(nn.MaxPool2d):
    """Max pooling with integer sizes, and with torch's own gradient in compiled code on the CPU.

    Inductor's code for the gradient scatters value by value: a compiled step of a network with two
    pools took 1.5 times as long as with the kernel of eager mode.
    """

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
