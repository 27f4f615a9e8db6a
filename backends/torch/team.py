"""The processes of this machine that share a training: they are started here, and led.

They are started with the first session and serve all that follow, since each takes seconds to
import torch. Where several machines share a training there is such a team on each.
"""

from __future__ import annotations

import os
import tempfile
from multiprocessing import get_context

import torch
from torch import distributed

from backends.api import Device, Hosts, Session, Workload
from backends.torch.ranks import Seat, seats, serve, take_seat, usable_cpus
from backends.torch.sharing import SharedSession, own_workload, require_shareable
from bench.worker.parallel import Company, Follower, LeadSession
from bench.worker.process import bind_to


class Team(Company):
    """This process and those that it started, from their start until one of them fails."""

    def __init__(self, world_size: int, device: Device, hosts: Hosts) -> None:
        """Start them and meet all, those of other machines too.

        This process keeps its own share of the CPUs alone.
        """
        self._cpus = usable_cpus()
        exchange = "nccl" if device.kind == "gpu" else "gloo"
        self.seat, *others = seats(
            world_size, exchange, hosts, _meeting(hosts), torch.get_num_threads(), self._cpus
        )
        super().__init__([_started(seat) for seat in others])

        def meet() -> None:
            self.hear_all()  # that they have imported torch: nobody waits for one that cannot
            take_seat(self.seat)

        self.guarded(meet)

    def close(self) -> None:
        """End the other processes; their CPUs are this one's again."""
        super().close()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        bind_to(self._cpus)


def _meeting(hosts: Hosts) -> str:
    """Where the processes find one another, as torch takes it."""
    if len(hosts.addresses) > 1:
        return f"tcp://{hosts.addresses[0]}"
    return f"file://{os.path.join(tempfile.mkdtemp(prefix='meeting-'), 'file')}"


def _started(seat: Seat) -> Follower:
    # Spawned, since a process that has threads cannot be forked.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    name = f"rank {seat.rank}"
    process = context.Process(target=serve, args=(seat, theirs), name=name, daemon=True)
    process.start()
    theirs.close()
    return Follower(f"{name} of {seat.world_size}", ours, process)


def shared_session(workload: Workload, hosts: Hosts) -> Session:
    """A session of all processes of this machine.

    Raises:
        Unsupported: they cannot share the workload.
    """
    require_shareable(workload, len(hosts.addresses))
    team = _team_of(workload.world_size, workload.device, hosts)
    return LeadSession(
        workload, team, lambda everyones: SharedSession(own_workload(team.seat, everyones))
    )


_teams: dict[tuple[int, Device], Team] = {}


def _team_of(world_size: int, device: Device, hosts: Hosts) -> Team:
    """The team of this process for the device, started anew where there is none that is whole."""
    key = (world_size, device)
    team = _teams.get(key)
    if team is None or not team.is_whole:
        for other in _teams.values():  # torch knows one group of processes at a time
            other.close()
        _teams.clear()
        team = _teams[key] = Team(world_size, device, hosts)
    return team
