"""A trial that takes turns with others, and the worker that it needs."""

import math
import time
from collections.abc import Callable
from typing import Protocol

from bench.records.trial import Slice
from bench.run.launch import Launch
from bench.run.worker_process import WorkerEnd
from bench.spec.job import Trial
from bench.worker.protocol import Calls, Command, Event, Explained, Ready, SliceEnded, Task
from bench.worker.usage import Usage

# A contender whose slices are longer takes part in fewer rounds, so that it takes no more time than
# the others, but in this number at least.
USUAL_SECONDS = 0.5
FEWEST_TURNS = 6
OnEvent = Callable[[Event], None]


class Live(Protocol):
    """A worker in rounds; see `bench.run.executor.LiveWorker`."""

    def follow(self, on_event: OnEvent) -> bool:
        """Pass on events until the worker waits or ends; return whether it waits."""

    def command(self, command: Command, on_event: OnEvent) -> bool:
        """Send a command to the waiting worker, and follow it."""

    def close(self) -> WorkerEnd:
        """Kill what is left of the worker, and return how it ended."""


class Opener(Protocol):
    """An executor that can keep several workers alive."""

    def open(self, task: Task, launch: Launch, timeout: float) -> Live:
        """Start a worker; see `bench.run.executor.LocalExecutor.open`."""


class Participant:
    """A trial in rounds, and what has been measured of it.

    Attributes:
        trial: the trial.
        events: of its worker.
        slices: its turns so far.
        usage: of the CPUs, during each slice of training.
        calls: the calls of its slices; None before they are chosen.
        epochs_left: epochs that it has not trained.
        explained: predictions of its model; None where they were not requested.
        end: how its worker ended; None while it is alive.
        started_at: when its worker was started, ISO 8601 in UTC.
        wall_seconds: that the runner waited for it.
    """

    def __init__(self, trial: Trial, on_event: Callable[[Trial, Event], None]) -> None:
        self.trial = trial
        self.events: list[Event] = []
        self.slices: list[Slice] = []
        self.usage: list[Usage | None] = []
        self.calls: Calls | None = None
        self.epochs_left = 0
        self.explained: Explained | None = None
        self.end: WorkerEnd | None = None
        self.started_at: str | None = None
        self.wall_seconds = 0.0
        self._observe = on_event
        self._counted_from = 0
        self._worker: Live | None = None
        self._measured: list[SliceEnded] = []

    def adopt(self, worker: Live) -> None:
        """Take over the worker, which has been started."""
        self._worker = worker

    def refuse(self, reason: str) -> None:
        """Note why the system cannot start the worker."""
        self.end = WorkerEnd(None, False, "", {}, reason)

    @property
    def is_started(self) -> bool:
        """Whether its worker has been started, or cannot be."""
        return self._worker is not None or self.end is not None

    def begin(self) -> None:
        """Count the slices for a number of rounds that begins now."""
        self._counted_from = len(self.slices)

    def follow(self) -> None:
        """Follow the worker that has been started until it waits."""
        worker = self._worker
        if worker is not None and self.end is None:
            self._follow(lambda: worker.follow(self._on_event))

    def command(self, command: Command) -> list[SliceEnded]:
        """Let the worker follow a command; return the slices that it measured."""
        worker = self._worker
        if worker is None or self.end is not None:
            return []
        self._measured = []
        self._follow(lambda: worker.command(command, self._on_event))
        return self._measured

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None and self.end is None:
            self.end = self._worker.close()

    def lacks_turns(self, rounds: float, of: int) -> bool:
        """Return whether it lacks undisturbed slices of training.

        Args:
            rounds: how many there have been, including the next one.
            of: how many there will be.
        """
        training = [each for each in self.slices[self._counted_from :] if each.kind == "train"]
        if not training:
            return True
        fewer = round(of * USUAL_SECONDS / training[0].seconds)
        wanted = min(of, max(fewer, FEWEST_TURNS))
        undisturbed = sum(1 for each in training if not each.flags)
        return undisturbed < math.ceil(wanted * min(1.0, rounds / of))

    def _follow(self, follow: Callable[[], bool]) -> None:
        began = time.monotonic()
        is_waiting = follow()
        self.wall_seconds += time.monotonic() - began
        if not is_waiting:
            self.close()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SliceEnded):
            self._measured.append(event)
        elif isinstance(event, Ready):
            self.calls, self.epochs_left = event.calls, event.epochs_left
        elif isinstance(event, Explained):
            self.explained = event
        else:
            self.events.append(event)
        self._observe(self.trial, event)
