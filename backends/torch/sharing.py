"""One process's part of a training that several share: DistributedDataParallel on equal parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from backends.api import Device, Gradients, Unsupported, Workload, part_of
from backends.torch.lowering import lower
from backends.torch.session import TorchSession
from bench.spec.layers import BatchNorm
from bench.spec.weights import FloatArray, IntArray

if TYPE_CHECKING:
    from backends.torch.ranks import Seat

_NANOSECONDS = 1e-9


class SharedSession(TorchSession):
    """A session in each process: it is given whole batches, takes its part, and tells of the whole.

    All processes call the same methods in the same order, as each waits for the others there.
    """

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        return self._mean(super().train(_own_part(batches), learning_rates))

    def gradients(self, batch: IntArray) -> Gradients:
        """Logits, loss and gradients of the whole batch; see `Session.gradients`."""
        own = super().gradients(_own_part(batch))
        weights = {address: self._mean(value) for address, value in own.weights.items()}
        loss = self._mean(np.array([own.loss]))
        return Gradients(self._joined(own.logits), float(loss[0]), weights)

    def communication_seconds(self) -> Optional[float]:
        """What torch counted: from the first exchange's start in a step to the end of its last.

        It is the mean over the steps that torch takes samples of: the first ten, then every
        hundredth. The exchanges run beside the backward pass, and wait for the slowest process.
        """
        counted = self._shared._get_ddp_logging_data().get("avg_backward_comm_time")
        return counted * _NANOSECONDS if counted else None

    def _trained(self, net: nn.Module) -> nn.Module:
        """The net in the wrapper that averages gradients while the backward pass runs."""
        if self._device.type != "cpu":
            net = _with_shared_statistics(net)
        self._shared = DistributedDataParallel(
            net, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
        return self._shared

    def _mean(self, values: FloatArray) -> FloatArray:
        """The mean over the processes, each of which has an array of this shape."""
        held = torch.tensor(values, device=self._device)
        distributed.all_reduce(held)
        mean: FloatArray = held.cpu().numpy() / distributed.get_world_size()
        return mean

    def _joined(self, values: FloatArray) -> FloatArray:
        """The rows of all processes, in the order of the batch."""
        held = torch.tensor(values, device=self._device)
        parts = [torch.empty_like(held) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, held)
        joined: FloatArray = torch.cat(parts).cpu().numpy()
        return joined


def _own_part(batches: IntArray) -> IntArray:
    """This process's columns of (steps, batch) indices, or its part of (batch,)."""
    size = part_of(batches.shape[-1], distributed.get_world_size())
    first = distributed.get_rank() * size
    return np.ascontiguousarray(batches[..., first : first + size])


def _with_shared_statistics(net: nn.Module) -> nn.Module:
    """The net with normalisations over the batches of all processes; the weights stay the same."""
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    for module in converted.modules():
        if isinstance(module, nn.SyncBatchNorm):  # it insists on a count of batches
            module.num_batches_tracked = torch.zeros_like(module.running_mean[0], dtype=torch.long)
    return converted


def require_shareable(workload: Workload, hosts: int) -> None:
    """See that processes on so many machines can share the workload, before any of them begins.

    Raises:
        Unsupported: they cannot.
    """
    asked = f"world size {workload.world_size} on {workload.device.kind}"
    if workload.device.kind == "mps":
        raise Unsupported(f"{asked}: there is only one such device")
    last = workload.device.index + workload.world_size // hosts
    if workload.device.kind == "gpu" and last > torch.cuda.device_count():
        raise Unsupported(
            f"{asked}, from {workload.device.name} on: PyTorch sees {torch.cuda.device_count()}"
        )
    normalised = [node.path for node in workload.model.walk() if isinstance(node.layer, BatchNorm)]
    if workload.device.kind == "cpu" and normalised:
        raise Unsupported(
            f"{asked}: batch normalisation over a batch that processes share, at {normalised[0]}: "
            "PyTorch's SyncBatchNorm works on GPUs only"
        )
    with torch.device("meta"):
        lower(workload.model)


def own_workload(seat: Seat, workload: Workload) -> Workload:
    """The workload of the process there: on a GPU of its own, with dropout of its own."""
    device = workload.device
    if device.kind == "gpu":
        device = Device(device.kind, device.index + seat.local_rank, device.title)
    return workload._replace(device=device, seed=workload.seed + seat.rank)
