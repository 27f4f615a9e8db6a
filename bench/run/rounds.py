"""Measures the contenders of a ranking in rounds: all are alive, and take turns in short slices.

Drift of the machine and other processes then affect all contenders alike, and a disturbance costs
a slice instead of a trial. What is not measured in slices (start-up, compilation, the epochs that
are left for the accuracy) is measured one contender after the other. A worker is paused while it is
not its turn.
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from bench.cache import cache_folder
from bench.machine.disturbance import Canary, flags_of, train_noise
from bench.machine.other_runs import other_runs
from bench.records.trial import Noise, Slice, TrialRecord
from bench.run.experiment import (
    Experiment,
    Measurement,
    compared,
    ended_record,
    planned_record,
    task_of,
    unmeasurable,
)
from bench.run.launch import Launch, launch_of_job
from bench.run.observers import Observer
from bench.run.outcome import INTERRUPTED, with_events, with_slices
from bench.run.worker_process import NoWorkerError, WorkerEnd
from bench.spec.job import Job, Trial
from bench.worker.protocol import Calls, Command, Event, Explained, Ready, Rounds, SliceEnded, Task
from bench.worker.usage import Usage, total_usage

# More rounds than requested, as a multiple, that replace disturbed slices.
MOST_ROUNDS = 1.5
# A contender whose slices are longer takes part in fewer rounds, so that it takes no more time than
# the others, but in so many at least.
USUAL_SECONDS = 0.5
FEWEST_TURNS = 6
PREDICTION_ROUNDS = 5
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
        self.wall_seconds = 0.0
        self._observe = on_event
        self._worker: Live | None = None
        self._measured: list[SliceEnded] = []

    def open(self, opener: Opener, task: Task, launch: Launch, timeout: float) -> None:
        """Start the worker, and go on while it imports the framework and reads the data."""
        try:
            self._worker = opener.open(task, launch, timeout)
        except NoWorkerError as error:
            self.end = WorkerEnd(None, False, "", {}, str(error))

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
        training = [each for each in self.slices if each.kind == "train"]
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


class Setting(msgspec.Struct, frozen=True):
    """How rounds are run.

    Attributes:
        rounds: number of rounds, each with an undisturbed slice of every contender.
        seed: determines the order in each round.
        trains_all: whether the epochs that are left after the rounds are trained.
    """

    rounds: int
    seed: int
    trains_all: bool = True


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
        turn = [each for each in alive if each.lacks_turns(number, setting.rounds)]
        _round("train", number, turn, setting, canary, began)
        if number >= setting.rounds and not any(
            each.lacks_turns(number, setting.rounds) for each in alive
        ):
            break
    for each in participants:
        if each.end is None and each.epochs_left and setting.trains_all:
            each.command(Command("complete"))
    for number in range(1, min(PREDICTION_ROUNDS, setting.rounds) + 1):
        alive = [each for each in participants if each.end is None]
        _round("predict", number, alive, setting, canary, began)
    for each in participants:
        each.command(Command("end"))
        each.close()
    return began_at


def _round(
    action: str,
    number: int,
    turn: Sequence[Participant],
    setting: Setting,
    canary: Canary,
    began: float,
) -> None:
    """Let everyone run a slice, in random order."""
    quickness = Noise(canary_after_seconds=canary.time(), canary_usual_seconds=canary.usual_seconds)
    order = np.random.default_rng([setting.seed, number]).permutation(len(turn))
    for place in order.tolist():
        each = turn[place]
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


class Experience:
    """What a run has learned of its contenders, which later repeats use.

    Attributes:
        calls: the calls of a slice of each job that was started.
    """

    def __init__(self, caches: Path | None = None) -> None:
        """Begin without any.

        Args:
            caches: an empty folder for what compilers make of each job; None compiles it anew in
                each repeat.
        """
        self.calls: dict[Job, Calls] = {}
        self._caches = caches
        self._numbers: dict[Job, int] = {}

    def launch(self, job: Job, experiment: Experiment) -> Launch:
        """Return how a worker of the job starts."""
        recipe = experiment.recipes[job.backend]
        if self._caches is None or not recipe.warm:
            return launch_of_job(recipe, job, recipe.cold)
        number = self._numbers.setdefault(job, len(self._numbers))
        folder = self._caches / str(number)
        folder.mkdir(exist_ok=True)
        own = {name: value.replace("{cache}", str(folder)) for name, value in recipe.warm.items()}
        return launch_of_job(recipe, job, own)


def measure_in_rounds(
    trials: Sequence[Trial],
    experiment: Experiment,
    executor: Opener,
    observer: Observer,
    canary: Canary,
    experience: Experience,
) -> list[tuple[Trial, Measurement]]:
    """Measure the trials of a ranking and repeat together.

    Jobs that start for the first time start alone, with empty caches: their start-up is measured.
    The others import their frameworks and read the data at the same time.

    Args:
        trials: with different jobs.
        experiment: what all trials share.
        executor: keeps their workers alive.
        observer: watches.
        canary: is timed once per round.
        experience: of earlier repeats; extended.

    Returns:
        The trials with their results; after a KeyboardInterrupt those that ran are interrupted.
    """
    participants, results = _participants(trials, experiment, observer)
    setting = Setting(
        experiment.rounds, trials[0].seed, experiment.trains_all or trials[0].repeat == 1
    )
    known = set(experience.calls)
    others = other_runs(cache_folder())
    is_interrupted = False
    began_at = None
    try:
        # In this function, so that few frames lie above a worker's start.
        for each in (each for each in participants if each.trial.job not in known):
            each.open(executor, *_worker_of(each.trial, experiment, experience))
            each.follow()
            each.command(Command("start"))
        again = [each for each in participants if each.trial.job in known]
        for each in again:
            each.open(executor, *_worker_of(each.trial, experiment, experience))
        for each in again:
            each.follow()
        for each in again:
            each.command(Command("start"))
        began_at = run_rounds(participants, setting, canary)
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        for each in participants:
            each.close()
    others = max(others, other_runs(cache_folder()))
    for each in participants:
        if each.calls is not None:
            experience.calls[each.trial.job] = each.calls
        record = msgspec.structs.replace(
            _record(each, experiment, is_interrupted), rounds_began_at=began_at, other_runs=others
        )
        if each.trial.job in known:
            record = _without_start(record)
        results.append((each.trial, compared(record, experiment, each.explained)))
    return results


def _participants(
    trials: Sequence[Trial], experiment: Experiment, observer: Observer
) -> tuple[list[Participant], list[tuple[Trial, Measurement]]]:
    """Return who takes part, and the results of the trials that need no worker."""
    participants = []
    results = []
    for trial in trials:
        observer.trial_began(trial)
        if (verdict := unmeasurable(trial, experiment)) is not None:
            record = planned_record(trial, experiment, verdict)
            results.append((trial, Measurement(record, None)))
        else:
            participants.append(Participant(trial, observer.trial_event))
    return participants, results


def _worker_of(
    trial: Trial, experiment: Experiment, experience: Experience
) -> tuple[Task, Launch, float]:
    """Return the task of the trial's worker, how it starts, and its time limit."""
    rounds = Rounds(calls=experience.calls.get(trial.job))
    task = msgspec.structs.replace(task_of(trial, experiment), rounds=rounds)
    return task, experience.launch(trial.job, experiment), experiment.timeout


def _record(each: Participant, experiment: Experiment, is_interrupted: bool) -> TrialRecord:
    """Return the record of a trial in rounds."""
    began = planned_record(each.trial, experiment, INTERRUPTED)
    if is_interrupted or each.end is None:
        record = with_events(began, each.events)
    else:
        record = ended_record(began, each.events, each.end, experiment.timeout)
    record = msgspec.structs.replace(record, wall_seconds=each.wall_seconds)
    if not each.slices:
        return record
    return with_slices(record, each.slices, total_usage(each.usage), each.epochs_left)


def _without_start(record: TrialRecord) -> TrialRecord:
    """Remove the times of a start-up that others shared or that caches shortened."""
    return msgspec.structs.replace(
        record,
        is_cold=False,
        import_seconds=None,
        data_seconds=None,
        build_seconds=None,
        compile_seconds=None,
        cold_start_seconds=None,
    )
