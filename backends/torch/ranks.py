"""The processes that share a training with this one: how each is placed, and what it does.

Each waits for a message from the process that started it, and does what the message says with a
session of its own. It ends when that one does.
"""

from __future__ import annotations

import os
import traceback
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch
from torch import distributed

from backends.api import Hosts, Workload
from backends.torch import platform
from backends.torch.sharing import SharedSession, own_workload
from bench.worker.parallel import DONE, PATIENCE_SECONDS, obey
from bench.worker.process import bind_to, end_with_parent


class Seat(NamedTuple):
    """The place of a process among those that share a training.

    Attributes:
        rank: from 0, over all machines.
        local_rank: from 0, on its machine; 0 is the worker itself.
        world_size: their number, over all machines.
        exchange: torch's name of what exchanges tensors, "gloo" or "nccl".
        meeting: where they find one another, as torch takes it.
        threads: CPU threads of each.
        cpus: the CPUs of this one; empty where nobody can tell.
    """

    rank: int
    local_rank: int
    world_size: int
    exchange: str
    meeting: str
    threads: int
    cpus: tuple[int, ...]


def seats(
    world_size: int,
    exchange: str,
    hosts: Hosts,
    meeting: str,
    threads: int,
    cpus: tuple[int, ...],
) -> list[Seat]:
    """A seat for each process of this machine; they share its CPUs in equal parts."""
    here = world_size // len(hosts.addresses)
    return [
        Seat(hosts.host * here + rank, rank, world_size, exchange, meeting, threads, share)
        for rank, share in enumerate(cpu_shares(cpus, here))
    ]


def cpu_shares(cpus: tuple[int, ...], number: int) -> list[tuple[int, ...]]:
    """Equal parts of the CPUs; where there are too few for one each, all of them for everyone."""
    size = len(cpus) // number
    if size == 0:
        return [cpus] * number
    return [cpus[rank * size : (rank + 1) * size] for rank in range(number)]


def usable_cpus() -> tuple[int, ...]:
    """The CPUs that this process may use now; empty where the system does not tell."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def take_seat(seat: Seat) -> None:
    """Bind this process to its CPUs and meet the others."""
    bind_to(seat.cpus)
    torch.set_num_threads(seat.threads)
    distributed.init_process_group(
        seat.exchange,
        init_method=seat.meeting,
        rank=seat.rank,
        world_size=seat.world_size,
        timeout=timedelta(seconds=PATIENCE_SECONDS),
    )


def serve(seat: Seat, messages: Connection) -> None:
    """Do what comes; see `bench.worker.parallel.obey`.

    The first answer, to no message, is that it is ready to meet the others.
    """
    end_with_parent()

    def make(workload: Workload) -> SharedSession:
        own = own_workload(seat, workload)
        platform.allow_tf32(own.precision == "tf32")
        return SharedSession(own)

    try:
        messages.send(DONE)  # torch is imported
        take_seat(seat)
    except Exception as error:
        traceback.print_exc()
        messages.send(f"{type(error).__name__}: {error}")
        return
    obey(messages.recv, messages.send, make)
