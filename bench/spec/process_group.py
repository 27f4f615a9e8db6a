"""The place of a worker process among those that share a training."""

from __future__ import annotations

import msgspec


class ProcessGroup(msgspec.Struct, frozen=True):
    """The worker processes that share a training, and this process's place among them.

    Attributes:
        rank: the number of this process, from 0, over all machines; rank 0 is recorded.
        local_rank: its number, from 0, among the processes of its machine.
        local_size: the number of processes on each machine.
        addresses: `host:port` of each process, by rank, with a port that the framework may use.
    """

    rank: int
    local_rank: int
    local_size: int
    addresses: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of processes on all machines."""
        return len(self.addresses)


# The place of a process that shares no training.
ALONE = ProcessGroup(0, 0, 1, ("",))
