"""The processes that share a training with this one: how each is placed, and what it does.

Each waits for a message from rank 0, which is the worker, and does what the message says with a
session of its own. It ends when rank 0 does.
"""

from __future__ import annotations

import os
import traceback
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from torch import distributed

from backends.torch import platform
from backends.torch.sharing import SharedSession, own_workload
from bench.worker.process import bind_to, end_with_parent

# Equal parts take equal times: a process that lets the others wait for so long hangs.
PATIENCE = timedelta(minutes=5)
DONE = ""


class Seat(NamedTuple):
    """The place of a process among those that share a training.

    Attributes:
        rank: from 0, the worker's own.
        world_size: their number.
        exchange: torch's name of what exchanges tensors, "gloo" or "nccl".
        meeting: the path of a file, not there yet, over which they find one another.
        threads: CPU threads of each.
        cpus: the CPUs of this one; empty where nobody can tell.
    """

    rank: int
    world_size: int
    exchange: str
    meeting: str
    threads: int
    cpus: tuple[int, ...]


class Message(NamedTuple):
    """What rank 0 asks of the others: to make a session, to call or to forget it.

    Attributes:
        method: a method of `SharedSession`, or `MAKE` or `FORGET`.
        session: its number.
        arguments: of the method; the workload to make one from.
    """

    method: str
    session: int
    arguments: tuple[Any, ...] = ()


MAKE, FORGET = "make", "forget"


def seats(
    world_size: int, exchange: str, meeting: str, threads: int, cpus: tuple[int, ...]
) -> list[Seat]:
    """A seat for each process; they share the CPUs in equal parts."""
    return [
        Seat(rank, world_size, exchange, meeting, threads, share)
        for rank, share in enumerate(cpu_shares(cpus, world_size))
    ]


def cpu_shares(cpus: tuple[int, ...], world_size: int) -> list[tuple[int, ...]]:
    """Equal parts of the CPUs; where there are too few for one each, all of them for everyone."""
    size = len(cpus) // world_size
    if size == 0:
        return [cpus] * world_size
    return [cpus[rank * size : (rank + 1) * size] for rank in range(world_size)]


def usable_cpus() -> tuple[int, ...]:
    """The CPUs that this process may use now; empty where the system does not tell."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def take_seat(seat: Seat) -> None:
    """Bind this process to its CPUs and meet the others."""
    bind_to(seat.cpus)
    torch.set_num_threads(seat.threads)
    distributed.init_process_group(
        seat.exchange,
        init_method=f"file://{seat.meeting}",
        rank=seat.rank,
        world_size=seat.world_size,
        timeout=PATIENCE,
    )


def serve(seat: Seat, messages: Connection) -> None:
    """Do what comes, and answer each message but one to forget: `DONE`, or what went wrong.

    The first answer, to no message, is that it is ready to meet the others.
    """
    end_with_parent()
    sessions: dict[int, SharedSession] = {}
    try:
        messages.send(DONE)  # torch is imported
        take_seat(seat)
        while True:
            message: Message = messages.recv()
            _obey(message, seat, sessions)
            if message.method != FORGET:
                messages.send(DONE)
    except EOFError:  # rank 0 has ended, or needs nobody any more
        return
    except Exception as error:
        traceback.print_exc()
        messages.send(f"{type(error).__name__}: {error}")


def _obey(message: Message, seat: Seat, sessions: dict[int, SharedSession]) -> None:
    if message.method == MAKE:
        workload = own_workload(seat.rank, message.arguments[0])
        platform.allow_tf32(workload.precision == "tf32")
        sessions[message.session] = SharedSession(workload)
    elif message.method == FORGET:
        del sessions[message.session]
    else:
        getattr(sessions[message.session], message.method)(*message.arguments)
