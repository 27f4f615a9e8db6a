"""PyTorch's own input pipeline: a DataLoader over images in host memory."""

# Nothing of torch is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from backends.torch.modules import as_input
from bench.spec.weights import IntArray

Batch = tuple[torch.Tensor, torch.Tensor]


class Loader:
    """Loads batches of pixels and labels to the device, in a given order.

    One worker process fetches them while the main process trains. It runs for all epochs.
    """

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor, device: torch.device) -> None:
        """Store uint8 pixels (n, ...) and labels (n,) in host memory."""
        self._device = device
        self._order: list[list[int]] = []
        self._loader = DataLoader(
            _Examples(pixels, labels),
            batch_sampler=_Order(self._order),
            collate_fn=_as_it_is,
            num_workers=1,
            persistent_workers=True,
            pin_memory=device.type == "cuda",
        )

    def __call__(self, batches: IntArray) -> Iterator[Batch]:
        """Yield the batch of each row of (steps, batch) indices."""
        self._order[:] = batches.tolist()
        for pixels, labels in self._loader:
            yield (
                pixels.to(self._device, non_blocking=True),
                labels.to(self._device, non_blocking=True),
            )


class _Examples(Dataset[Batch]):
    """Pixels and labels, fetched a whole batch at once, so that nothing is collated."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor) -> None:
        self._pixels = pixels
        self._labels = labels

    def __getitem__(self, index: int) -> Batch:
        return self._pixels[index], self._labels[index]

    def __getitems__(self, indices: list[int]) -> Batch:
        batch = torch.tensor(indices)
        return self._pixels[batch], self._labels[batch]

    def __len__(self) -> int:
        return len(self._labels)


def _as_it_is(batch: Batch) -> Batch:
    return batch


class _Order:
    """A batch sampler whose batches can be changed between two epochs."""

    def __init__(self, batches: list[list[int]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class Scaled(nn.Module):
    """Turns a loader's batch into the model's input; replaces `steps.Examples`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def forward(self, batch: Batch) -> Batch:
        """Return images scaled to -1 to 1, and labels."""
        pixels, labels = batch
        kept = torch.promote_types(self._dtype, torch.float32)
        images = (pixels.to(kept) * (2 / 255) - 1).to(self._dtype)
        return as_input(images), labels
