"""Modules that torch.nn does not have: the flatten order, mixed precision and merges of branches.

Feature maps are (n, channels, height, width) with the channels innermost in memory
(`torch.channels_last`), so the spec's order (n, height, width, channels) is a view of them.
"""

# Nothing of torch is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

import operator
from functools import reduce

import torch
from torch import nn


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
        return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).flatten(1)


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
        factors = [branch(x) for branch in self]
        dims = max(factor.dim() for factor in factors)
        return reduce(operator.mul, [_broadcast(factor, dims) for factor in factors])


def _broadcast(factor: torch.Tensor, dims: int) -> torch.Tensor:
    return factor if factor.dim() == dims else factor[:, :, None, None]
