"""The processes of this machine that share a training.

The worker starts them with its first session. They serve all later sessions too, because each
takes seconds to import torch. With several machines, each machine has such a group.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch
from torch import distributed

from backends.api import Device, Hosts, Session, Workload
from backends.torch import platform
from backends.torch.parallel import SharedSession, require_shareable
from bench.worker.parallel import DONE, PATIENCE_SECONDS, Company, Follower, LeadSession, obey
from bench.worker.process import bind_to, end_with_parent


class Rank(NamedTuple):
    """One of the processes that share a training.

    Attributes:
        number: from 0, over all machines.
        local_number: from 0, on its machine; 0 is the worker itself.
        world_size: the number of processes on all machines.
        exchange: torch's name of the library that exchanges tensors, "gloo" or "nccl".
        meeting: the URL where the processes find one another.
        threads: CPU threads of each process.
        cpus: the CPUs of this process; empty where the system does not report them.
    """

    number: int
    local_number: int
    world_size: int
    exchange: str
    meeting: str
    threads: int
    cpus: tuple[int, ...]

    def start(self) -> None:
        """Bind this process to its CPUs and connect to the others."""
        bind_to(self.cpus)
        torch.set_num_threads(self.threads)
        distributed.init_process_group(
            self.exchange,
            init_method=self.meeting,
            rank=self.number,
            world_size=self.world_size,
            timeout=timedelta(seconds=PATIENCE_SECONDS),
        )

    def session(self, workload: Workload) -> SharedSession:
        """Make this process's session, on its own GPU and with its own dropout."""
        device = workload.device
        if device.kind == "gpu":
            device = Device(device.kind, device.index + self.local_number, device.title)
        platform.allow_tf32(workload.precision == "tf32")
        own = workload._replace(device=device, seed=workload.seed + self.number)
        return SharedSession(own)


def _local_ranks(world_size: int, device: Device, hosts: Hosts) -> list[Rank]:
    """Return a rank for each process of this machine; they share its CPUs in equal parts."""
    number = world_size // len(hosts.addresses)
    exchange = "nccl" if device.kind == "gpu" else "gloo"
    meeting, threads = _meeting(hosts), torch.get_num_threads()
    return [
        Rank(hosts.host * number + local, local, world_size, exchange, meeting, threads, cpus)
        for local, cpus in enumerate(_cpu_shares(_usable_cpus(), number))
    ]


def _cpu_shares(cpus: tuple[int, ...], number: int) -> list[tuple[int, ...]]:
    """Split the CPUs into equal parts; with fewer CPUs than parts, every part is all of them."""
    size = len(cpus) // number
    if size == 0:
        return [cpus] * number
    return [cpus[part * size : (part + 1) * size] for part in range(number)]


def _usable_cpus() -> tuple[int, ...]:
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def _meeting(hosts: Hosts) -> str:
    if len(hosts.addresses) > 1:
        return f"tcp://{hosts.addresses[0]}"
    return f"file://{os.path.join(tempfile.mkdtemp(prefix='meeting-'), 'file')}"


class _Group(Company):
    """The processes of this machine, from their start until one of them fails."""

    def __init__(self, world_size: int, device: Device, hosts: Hosts) -> None:
        """Start the other processes and connect to all, including those of other machines.

        This process is limited to its own share of the CPUs.
        """
        self._cpus = _usable_cpus()
        self.rank, *others = _local_ranks(world_size, device, hosts)
        super().__init__([_started(rank) for rank in others])

        def connect() -> None:
            self.hear_all()  # they have imported torch; do not wait for one that cannot
            self.rank.start()

        self.guarded(connect)

    def close(self) -> None:
        """End the other processes and take back their CPUs."""
        super().close()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        bind_to(self._cpus)


def _started(rank: Rank) -> Follower:
    # Spawned, because a process that has threads cannot be forked.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    name = f"rank {rank.number}"
    process = context.Process(target=_serve, args=(rank, theirs), name=name, daemon=True)
    process.start()
    theirs.close()
    return Follower(f"{name} of {rank.world_size}", ours, process)


def _serve(rank: Rank, messages: Connection) -> None:
    """Run in another process: connect to all, then obey; see `bench.worker.parallel.obey`.

    The first answer, which no message precedes, is that torch is imported.
    """
    end_with_parent()
    try:
        messages.send(DONE)
        rank.start()
    except Exception as error:
        traceback.print_exc()
        messages.send(f"{type(error).__name__}: {error}")
        return
    obey(messages.recv, messages.send, rank.session)


def shared_session(workload: Workload, hosts: Hosts) -> Session:
    """Make a session of all processes of this machine.

    Raises:
        Unsupported: they cannot share the workload.
    """
    require_shareable(workload, len(hosts.addresses))
    group = _group_of(workload.world_size, workload.device, hosts)
    return LeadSession(workload, group, group.rank.session)


_groups: dict[tuple[int, Device], _Group] = {}


def _group_of(world_size: int, device: Device, hosts: Hosts) -> _Group:
    """Return this process's group for the device; start one where none is intact."""
    key = (world_size, device)
    group = _groups.get(key)
    if group is None or not group.is_whole:
        for other in _groups.values():  # torch supports one group of processes at a time
            other.close()
        _groups.clear()
        group = _groups[key] = _Group(world_size, device, hosts)
    return group
