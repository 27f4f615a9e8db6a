"""Measures the contenders of a ranking in rounds: all are alive, and take turns in short slices.

Drift of the machine and other processes then affect all contenders alike, and a disturbance costs
a slice instead of a trial. Start-up, compilation and the epochs that are left for the accuracy are
measured one contender after the other. A worker is paused while it is not its turn.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import numpy as np

from bench.machine.disturbance import Canary, flags_of, train_noise
from bench.records.trial import Noise, Slice
from bench.run.launch import Launch
from bench.run.worker_process import NoWorkerError, WorkerEnd
from bench.spec.job import Trial
from bench.worker.protocol import Calls, Command, Event, Explained, Ready, SliceEnded, Task
from bench.worker.usage import Usage

# More rounds than requested, as a multiple, that replace disturbed slices.
MOST_ROUNDS = 1.5
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
        wall_seconds: that its worker ran, without pauses.
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
        self.wall_seconds = 0.0
        self._observe = on_event
        self._worker: Live | None = None
        self._measured: list[SliceEnded] = []

    def start(self, opener: Opener, task: Task, launch: Launch, timeout: float) -> None:
        """Start the worker and follow it until it waits for its first slice."""
        try:
            worker = self._worker = opener.open(task, launch, timeout)
        except NoWorkerError as error:
            self.end = WorkerEnd(None, False, "", {}, str(error))
            return
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

    def undisturbed(self) -> int:
        """Return the number of its slices of training that count."""
        return sum(1 for each in self.slices if each.kind == "train" and not each.flags)

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


class Setting(msgspec.Struct, frozen=True):
    """How rounds are run.

    Attributes:
        rounds: number of rounds, each with an undisturbed slice of every contender.
        seed: determines the order in each round.
    """

    rounds: int
    seed: int


def run_rounds(participants: Sequence[Participant], setting: Setting, canary: Canary) -> str:
    """Let participants, which have started, take turns until all is measured, and end them.

    Args:
        participants: of one ranking and repeat. One whose worker ends early drops out.
        setting: how many rounds.
        canary: is timed once per round.

    Returns:
        When the rounds began, ISO 8601 in UTC.
    """
    began_at = datetime.now(UTC).isoformat(timespec="microseconds")
    began = time.monotonic()
    for number in range(1, round(MOST_ROUNDS * setting.rounds) + 1):
        alive = [each for each in participants if each.end is None]
        if all(each.undisturbed() >= setting.rounds for each in alive):
            break
        _round("train", number, alive, setting, canary, began)
    for each in participants:
        if each.end is None and each.epochs_left:
            each.command(Command("complete"))
    for number in range(1, setting.rounds + 1):
        alive = [each for each in participants if each.end is None]
        _round("predict", number, alive, setting, canary, began)
    for each in participants:
        each.command(Command("end"))
        each.close()
    return began_at


def _round(
    action: str,
    number: int,
    alive: Sequence[Participant],
    setting: Setting,
    canary: Canary,
    began: float,
) -> None:
    """Let everyone run a slice, in random order."""
    quickness = Noise(canary_after_seconds=canary.time(), canary_usual_seconds=canary.usual_seconds)
    order = np.random.default_rng([setting.seed, number]).permutation(len(alive))
    for place in order.tolist():
        each = alive[place]
        at = time.monotonic() - began
        command = Command("train") if action == "train" else Command("predict")
        for ended in each.command(command):
            noise = msgspec.structs.replace(
                train_noise(ended.usage),
                canary_after_seconds=quickness.canary_after_seconds,
                canary_usual_seconds=quickness.canary_usual_seconds,
            )
            flags = flags_of(noise, ended.usage.wall_seconds if ended.usage else ended.seconds)
            each.slices.append(
                Slice(ended.kind, number, round(at, 3), ended.images, ended.seconds, flags)
            )
            if ended.kind == "train":
                each.usage.append(ended.usage)
