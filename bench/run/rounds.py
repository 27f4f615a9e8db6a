"""Measures the contenders of a ranking in rounds: all are alive, and take turns in short slices.

Drift of the machine and other processes then affect all contenders alike, and a disturbance costs
a slice instead of a trial. What is not measured in slices (start-up, compilation, the epochs that
are left for the accuracy) is measured one contender after the other. A worker is paused while it is
not its turn.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from bench.cache import cache_folder
from bench.machine.disturbance import Canary, flags_of, train_noise
from bench.machine.other_runs import other_runs
from bench.records.trial import Noise, Slice, TrialRecord
from bench.run.admission import Room, cohorts_of
from bench.run.estimates import Memory
from bench.run.experiment import (
    Experiment,
    Measurement,
    compared,
    ended_record,
    planned_record,
    task_of,
    timestamp,
    unmeasurable,
)
from bench.run.launch import Launch, launch_of_job
from bench.run.observers import Observer
from bench.run.outcome import INTERRUPTED, with_events, with_slices
from bench.run.participant import Opener, Participant
from bench.run.worker_process import NoWorkerError
from bench.spec.job import Job, Trial
from bench.worker.protocol import Calls, Command, Rounds, Task
from bench.worker.usage import total_usage

# More rounds than requested, as a multiple, that replace disturbed slices.
MOST_ROUNDS = 1.5
PREDICTION_ROUNDS = 5


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


class Turns:
    """The rounds of one repeat.

    Attributes:
        began_at: when they began, ISO 8601 in UTC.
    """

    def __init__(self, setting: Setting, canary: Canary) -> None:
        """Begin.

        Args:
            setting: how many rounds.
            canary: is timed once per round.
        """
        self.began_at = datetime.now(UTC).isoformat(timespec="microseconds")
        self._began = time.monotonic()
        self._setting = setting
        self._canary = canary
        self._rounds = 0

    def train(self, participants: Sequence[Participant]) -> None:
        """Let participants, which have started, take turns, and train what epochs are left.

        Args:
            participants: of one ranking and repeat. One whose worker ends early drops out.
        """
        wanted = self._setting.rounds
        for each in participants:
            each.begin()
        for number in range(1, round(MOST_ROUNDS * wanted) + 1):
            turn = [each for each in _alive(participants) if each.lacks_turns(number, wanted)]
            self._round(Command("train"), turn)
            if number >= wanted and not any(
                each.lacks_turns(number, wanted) for each in _alive(participants)
            ):
                break
        for each in _alive(participants):
            if each.epochs_left and self._setting.trains_all:
                each.command(Command("complete"))

    def finish(self, participants: Sequence[Participant]) -> None:
        """Let participants take turns in predicting, and end them."""
        for _ in range(min(PREDICTION_ROUNDS, self._setting.rounds)):
            self._round(Command("predict"), _alive(participants))
        for each in participants:
            each.command(Command("end"))
            each.close()

    def _round(self, command: Command, turn: Sequence[Participant]) -> None:
        """Let everyone run a slice, in random order."""
        self._rounds += 1
        quickness = Noise(
            canary_after_seconds=self._canary.time(),
            canary_usual_seconds=self._canary.usual_seconds,
        )
        random = np.random.default_rng([self._setting.seed, self._rounds])
        for place in random.permutation(len(turn)).tolist():
            each = turn[place]
            at = round(time.monotonic() - self._began, 3)
            for ended in each.command(command):
                noise = msgspec.structs.replace(
                    train_noise(ended.usage),
                    canary_after_seconds=quickness.canary_after_seconds,
                    canary_usual_seconds=quickness.canary_usual_seconds,
                )
                flags = flags_of(noise, ended.usage.wall_seconds if ended.usage else ended.seconds)
                made = Slice(ended.kind, self._rounds, at, ended.images, ended.seconds, flags)
                each.slices.append(made)
                if ended.kind == "train":
                    each.usage.append(ended.usage)


def _alive(participants: Sequence[Participant]) -> list[Participant]:
    return [each for each in participants if each.end is None]


class Experience:
    """What a run has learned of its contenders, which later repeats use.

    Attributes:
        calls: the calls of a slice of each job that was started.
    """

    def __init__(self, caches: Path | None = None) -> None:
        """Begin without any.

        Args:
            caches: an empty folder for what compilers make of each job; None compiles it again in
                each repeat.
        """
        self.calls: dict[Job, Calls] = {}
        self._memory: dict[Job, Memory] = {}
        self._caches = caches
        self._numbers: dict[Job, int] = {}

    def learn(self, participant: Participant, record: TrialRecord) -> None:
        """Remember what a trial showed."""
        job = participant.trial.job
        if participant.calls is not None:
            self.calls[job] = participant.calls
        used = Memory(record.peak_memory_bytes, record.device_peak_memory_bytes)
        if used.host is not None:
            self._memory[job] = used

    def memory_of(self, job: Job) -> Memory:
        """Return the memory that the job's worker used."""
        return self._memory.get(job, Memory(None, None))

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
    first = trials[0]
    setting = Setting(experiment.rounds, first.seed, experiment.trains_all or first.repeat == 1)
    known = set(experience.calls)
    others = other_runs(cache_folder())
    is_interrupted = False
    turns: Turns | None = None
    waiting = _cohorts(participants, experience)
    try:
        while waiting:
            cohort = waiting.pop(0)
            late = _start(cohort, experiment, executor, experience)
            present = [each for each in cohort if each not in late]
            turns = turns or Turns(setting, canary)
            turns.train(present)
            if late:
                waiting.append([*_anchor(present, setting.seed), *late])
            turns.finish([each for each in present if not any(each in some for some in waiting)])
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        for each in participants:
            each.close()
    others = max(others, other_runs(cache_folder()))
    for each in participants:
        record = msgspec.structs.replace(
            _record(each, experiment, is_interrupted),
            rounds_began_at=turns.began_at if turns else None,
            other_runs=others,
        )
        experience.learn(each, record)
        if each.trial.job in known:
            record = _without_start(record)
        results.append((each.trial, compared(record, experiment, each.explained)))
    return results


def _cohorts(
    participants: Sequence[Participant], experience: Experience
) -> list[list[Participant]]:
    """Return who is alive at the same time, as far as is known what they need.

    One contender may be in several cohorts; it stays alive from the first to the last of them.
    Cohorts of a single contender, for whom there is no other room, come last.
    """
    if not participants:
        return []
    by_job = {each.trial.job: each for each in participants}
    trial = participants[0].trial
    groups = cohorts_of(list(by_job), experience.memory_of, trial.seed, trial.repeat)
    return [[by_job[job] for job in group] for group in sorted(groups, key=len, reverse=True)]


def _anchor(present: Sequence[Participant], seed: int) -> list[Participant]:
    """Draw the contender that stays alive, so that others can be compared through it."""
    alive = _alive(present)
    return [alive[np.random.default_rng(seed).integers(len(alive))]] if alive else []


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


def _start(
    cohort: Sequence[Participant],
    experiment: Experiment,
    executor: Opener,
    experience: Experience,
) -> list[Participant]:
    """Start the workers of a cohort that are not alive yet, and let them compile.

    Those that start for the first time start alone, while memory lasts. The others import their
    frameworks and read the data at the same time.

    Returns:
        Those for whom there was no memory.
    """
    starting = [each for each in cohort if not each.is_started]
    new = [each for each in starting if each.trial.job not in experience.calls]
    again = [each for each in starting if each not in new]
    late: list[Participant] = []
    room = Room(cohort[0].trial.job.device)
    for each in [*new, *again]:
        if each in new[1:] and not room.admits():
            late.append(each)
            continue
        each.started_at = timestamp()
        try:
            each.adopt(executor.open(*_worker_of(each.trial, experiment, experience)))
        except NoWorkerError as error:
            each.refuse(str(error))
        if each in new:
            each.follow()
            each.command(Command("start"))
    for each in again:
        each.follow()
    for each in again:
        each.command(Command("start"))
    return late


def _worker_of(
    trial: Trial, experiment: Experiment, experience: Experience
) -> tuple[Task, Launch, float]:
    """Return the task of the trial's worker, how it starts, and its time limit."""
    rounds = Rounds(calls=experience.calls.get(trial.job))
    task = msgspec.structs.replace(task_of(trial, experiment), rounds=rounds)
    return task, experience.launch(trial.job, experiment), experiment.timeout


def _record(each: Participant, experiment: Experiment, is_interrupted: bool) -> TrialRecord:
    """Return the record of a trial in rounds."""
    began = msgspec.structs.replace(
        planned_record(each.trial, experiment, INTERRUPTED), started_at=each.started_at
    )
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
