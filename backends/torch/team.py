"""Rank 0's side of a shared training: it starts the other processes, tells them, and watches them.

It tells once a call, not once a step. The processes are started with the first session and serve
all that follow, since each takes seconds to import torch.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from contextlib import suppress
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, NamedTuple, Optional, TypeVar

import torch
from torch import distributed

from backends.api import Device, Gradients, Session, Workload, part_of
from backends.torch.ranks import (
    DONE,
    FORGET,
    MAKE,
    PATIENCE,
    Message,
    Seat,
    seats,
    serve,
    take_seat,
    usable_cpus,
)
from backends.torch.sharing import SharedSession, require_shareable
from bench.spec.weights import FloatArray, IntArray, Weights
from bench.worker.process import bind_to

# A process that failed says why in the moment in which the others see their exchange break off.
_SECONDS_TO_SAY = 5.0
_SECONDS_TO_END = 10.0

Result = TypeVar("Result")


class RankError(RuntimeError):
    """Another process of a shared training failed, ended or hangs: says which, and what it said."""


class _Rank(NamedTuple):
    seat: Seat
    process: Any
    messages: Connection

    def problem(self, seconds: float, may_be_silent: bool = False) -> str:
        """What is wrong with the process, once it answers or ends; empty where nothing is."""
        ready = wait([self.messages, self.process.sentinel], seconds)
        answer = self._answer() if ready else DONE if may_be_silent else f"silent for {seconds} s"
        return answer and f"rank {self.seat.rank} of {self.seat.world_size} failed: {answer}"

    def _answer(self) -> str:
        with suppress(EOFError, OSError):
            if self.messages.poll():
                answer: str = self.messages.recv()
                return answer
        self.process.join(_SECONDS_TO_END)
        return f"it ended with exit status {self.process.exitcode}"


class Team:
    """The other processes, from their start until one of them fails."""

    def __init__(self, world_size: int, device: Device) -> None:
        """Start them and meet them; this process keeps its own share of the CPUs alone."""
        self._numbers = count()
        self._cpus = usable_cpus()
        self._is_whole = True
        exchange = "nccl" if device.kind == "gpu" else "gloo"
        meeting = os.path.join(tempfile.mkdtemp(prefix="meeting-"), "file")
        own, *others = seats(world_size, exchange, meeting, torch.get_num_threads(), self._cpus)
        self._ranks = [_started(seat) for seat in others]

        def meet() -> None:
            self._hear_all()  # that they have imported torch: nobody waits for one that cannot
            take_seat(own)

        self._guarded(meet)

    @property
    def is_whole(self) -> bool:
        """Whether no process has failed; then the team can be given another session."""
        return self._is_whole

    def new_number(self) -> int:
        """The number of another session."""
        return next(self._numbers)

    def together(self, message: Message, work: Callable[[], Result]) -> Result:
        """Have the others do what the message says, while this process does the work.

        Raises:
            RankError: another process failed, ended or hangs. The team is of no use then.
        """
        if not self._is_whole:
            raise RankError("a process of this shared training has failed before")

        def all_of_it() -> Result:
            for rank in self._ranks:
                rank.messages.send(message)
            result = work()
            self._hear_all()
            return result

        return self._guarded(all_of_it)

    def forget(self, number: int) -> None:
        """Let the others drop a session."""
        if self._is_whole:
            with suppress(OSError):
                for rank in self._ranks:
                    rank.messages.send(Message(FORGET, number))

    def close(self) -> None:
        """End the other processes; their CPUs are this one's again."""
        self._is_whole = False
        for rank in self._ranks:
            rank.process.kill()
        for rank in self._ranks:
            rank.process.join(_SECONDS_TO_END)
            rank.messages.close()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        bind_to(self._cpus)

    def _hear_all(self) -> None:
        for rank in self._ranks:
            problem = rank.problem(PATIENCE.total_seconds())
            if problem:
                raise RankError(problem)

    def _guarded(self, work: Callable[[], Result]) -> Result:
        """Do the work; where it breaks off for another process's sake, say what happened there."""
        try:
            return work()
        except RankError:
            self.close()
            raise
        except Exception as error:
            said = [rank.problem(_SECONDS_TO_SAY, may_be_silent=True) for rank in self._ranks]
            self.close()
            if any(said):
                raise RankError("; ".join(filter(None, said))) from error
            raise


def _started(seat: Seat) -> _Rank:
    # Spawned, since a process that has threads cannot be forked.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    name = f"rank {seat.rank}"
    process = context.Process(target=serve, args=(seat, theirs), name=name, daemon=True)
    process.start()
    theirs.close()
    return _Rank(seat, process, ours)


class LeadSession(Session):
    """The session that the suite sees of a training that processes share."""

    def __init__(self, workload: Workload) -> None:
        """Have every process make its session of the workload.

        Raises:
            Unsupported: they cannot share it.
        """
        require_shareable(workload)
        self._world_size = workload.world_size
        self._team = _team_of(workload.world_size, workload.device)
        self._number = self._team.new_number()
        message = Message(MAKE, self._number, (workload,))
        self._own = self._team.together(message, lambda: SharedSession(workload))
        weakref.finalize(self, self._team.forget, self._number).atexit = False

    def compile(self, steps: int, batch_size: int) -> None:
        """See `Session.compile`."""
        part_of(batch_size, self._world_size)
        self._everywhere("compile", steps, batch_size)

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        part_of(batches.shape[1], self._world_size)
        losses: FloatArray = self._everywhere("train", batches, learning_rates)
        return losses

    def gradients(self, batch: IntArray) -> Gradients:
        """Logits, loss and gradients of one batch; see `Session.gradients`."""
        part_of(len(batch), self._world_size)
        gradients: Gradients = self._everywhere("gradients", batch)
        return gradients

    def predict(self, images: FloatArray) -> FloatArray:
        """Logits, by this process alone; see `Session.predict`."""
        return self._own.predict(images)

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """By this process alone; see `Session.predictor`."""
        return self._own.predictor(batch_size)

    def weights(self) -> Weights:
        """This process's, which are everyone's; see `Session.weights`."""
        return self._own.weights()

    def device_memory(self) -> Optional[int]:
        """The peak on this process's device; see `Session.device_memory`."""
        return self._own.device_memory()

    def communication_seconds(self) -> Optional[float]:
        """See `SharedSession.communication_seconds`."""
        return self._own.communication_seconds()

    def _everywhere(self, method: str, *arguments: Any) -> Any:
        message = Message(method, self._number, arguments)
        return self._team.together(message, lambda: getattr(self._own, method)(*arguments))


_teams: dict[tuple[int, Device], Team] = {}


def _team_of(world_size: int, device: Device) -> Team:
    """The team of this process for the device, started anew where there is none that is whole."""
    key = (world_size, device)
    team = _teams.get(key)
    if team is None or not team.is_whole:
        for other in _teams.values():  # torch knows one group of processes at a time
            other.close()
        _teams.clear()
        team = _teams[key] = Team(world_size, device)
    return team
