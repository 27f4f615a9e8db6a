"""One process's part of data-parallel training: DistributedDataParallel on equal parts.

Every process runs the whole task by itself; they meet in the collective calls of this module.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Optional

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from backends.api import Device, Gradients, Unsupported, Workload, part_of
from backends.torch.lowering import lower
from backends.torch.session import TorchSession
from bench.spec.layers import BatchNorm
from bench.spec.process_group import ProcessGroup
from bench.spec.weights import FloatArray, IntArray

_NANOSECONDS = 1e-9
# The runner ends a trial that takes too long. A process may have to wait while rank 0 measures
# predictions, so torch's own limit must never be the shorter one.
_LONGEST_WAIT = timedelta(days=1)


def shared_session(workload: Workload, group: ProcessGroup) -> SharedSession:
    """Make this process's session of a workload that the whole group shares.

    Raises:
        Unsupported: the processes cannot share the workload.
    """
    require_shareable(workload, group)
    _connect(group, "nccl" if workload.device.kind == "gpu" else "gloo")
    return SharedSession(own_workload(workload, group))


@cache
def _connect(group: ProcessGroup, exchange: str) -> None:
    """Connect to the other processes, once for all sessions of this process."""
    distributed.init_process_group(
        exchange,
        init_method=f"tcp://{group.addresses[0]}",
        rank=group.rank,
        world_size=group.size,
        timeout=_LONGEST_WAIT,
    )


def own_workload(workload: Workload, group: ProcessGroup) -> Workload:
    """Return the workload of this process, with its own GPU and its own stream of dropout."""
    device = workload.device
    if device.kind == "gpu":
        device = Device(device.kind, device.index + group.local_rank, device.title)
    return workload._replace(device=device, seed=workload.seed + group.rank)


class SharedSession(TorchSession):
    """The session in each process: receives whole batches and trains on its part of them.

    Results are those of whole batches. All processes call the same methods in the same order,
    because each waits for the others there.
    """

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        return self._mean(super().train(_own_part(batches), learning_rates))

    def gradients(self, batch: IntArray) -> Gradients:
        """Return the gradients of the whole batch; see `Session.gradients`."""
        own = super().gradients(_own_part(batch))
        weights = {address: self._mean(value) for address, value in own.weights.items()}
        loss = self._mean(np.array([own.loss]))
        return Gradients(self._all_rows(own.logits), float(loss[0]), weights)

    def agree(self, decision: bool = True) -> bool:
        """Wait for all processes and return the decision of rank 0; see `Session.agree`."""
        own = decision and distributed.get_rank() == 0
        return bool(self._mean(np.array([float(own)]))[0] > 0)

    def communication_seconds(self) -> Optional[float]:
        """Return torch's mean time from the start of a step's first exchange to its last's end.

        torch samples the first ten steps, then every hundredth. The exchanges overlap with the
        backward pass and wait for the slowest process.
        """
        counted = self._shared._get_ddp_logging_data().get("avg_backward_comm_time")
        return counted * _NANOSECONDS if counted else None

    def _trained(self, net: nn.Module) -> nn.Module:
        """Wrap the net, to average gradients while the backward pass runs."""
        if self._device.type != "cpu":
            net = _with_shared_statistics(net)
        self._shared = DistributedDataParallel(
            net, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
        return self._shared

    def _mean(self, values: FloatArray) -> FloatArray:
        """Return the mean of the processes' arrays of one shape."""
        tensor = torch.tensor(values, device=self._device)
        distributed.all_reduce(tensor)
        mean: FloatArray = tensor.cpu().numpy() / distributed.get_world_size()
        return mean

    def _all_rows(self, values: FloatArray) -> FloatArray:
        """Return the rows of all processes, in the order of the batch."""
        tensor = torch.tensor(values, device=self._device)
        parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, tensor)
        rows: FloatArray = torch.cat(parts).cpu().numpy()
        return rows


def _own_part(batches: IntArray) -> IntArray:
    """Return this process's columns of (steps, batch) indices, or its part of (batch,)."""
    size = part_of(batches.shape[-1], distributed.get_world_size())
    first = distributed.get_rank() * size
    return np.ascontiguousarray(batches[..., first : first + size])


def _with_shared_statistics(net: nn.Module) -> nn.Module:
    """Normalise over the batches of all processes; the weights stay the same."""
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    for module in converted.modules():
        if isinstance(module, nn.SyncBatchNorm):  # it requires a count of batches
            module.num_batches_tracked = torch.zeros_like(module.running_mean[0], dtype=torch.long)
    return converted


def require_shareable(workload: Workload, group: ProcessGroup) -> None:
    """Check that processes can share the workload, before they connect.

    Raises:
        Unsupported: they cannot.
    """
    device = workload.device
    prefix = f"PyTorch does not support world size {workload.world_size} on {device.name}: "
    if workload.world_size != group.size:
        raise Unsupported(prefix + f"this worker is one of {group.size} processes")
    if device.kind == "mps":
        raise Unsupported(prefix + "there is only one such device")
    if device.kind == "gpu":
        last = device.index + group.local_size
        if last > torch.cuda.device_count():
            raise Unsupported(prefix + f"it sees {torch.cuda.device_count()} GPUs")
    normalised = [node.path for node in workload.model.walk() if isinstance(node.layer, BatchNorm)]
    if device.kind == "cpu" and normalised:
        raise Unsupported(
            prefix + f"the model normalises over whole batches, at {normalised[0]}, and "
            "SyncBatchNorm works only on GPUs"
        )
    with torch.device("meta"):
        lower(workload.model)
