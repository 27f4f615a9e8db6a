"""Train and predict in slices, on command, so that several contenders can take turns.

A slice of training is a fixed number of calls, each of a fixed number of steps. Slices train the
epochs of the task one after the other; a contender that has trained them all continues with further
epochs, which are not evaluated. The steps of an epoch that do not fill a call are trained first,
outside of slices. Thus the last call of an epoch belongs to a slice, and the evaluation directly
after it shows whether the call waited for the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from time import perf_counter
from typing import Optional

import numpy as np

from backends.api import Backend
from bench.spec.training import epoch_batches, learning_rates
from bench.worker.inference import Prediction
from bench.worker.predictions import explain
from bench.worker.process import age, peak_memory
from bench.worker.protocol import (
    Calls,
    Command,
    Emit,
    EpochEnded,
    Failed,
    Finished,
    FirstStep,
    PhaseBegan,
    Ready,
    Rounds,
    SliceEnded,
    TrainTask,
)
from bench.worker.training import Evaluation, Prepared, evaluate, padded, phase, prepare
from bench.worker.usage import Usage, read_usage, total_usage, usage_since

# Steps of the first call, after which longer calls show how long a step takes. It is not 1, because
# XLA compiles a loop of one step into another program.
FIRST_STEPS = 2
_GROWTH = 8  # ratio of the steps of a call to those of the shorter call before it
# A call that grows by less than half of its steps' growth consists of fixed cost above all.
_IS_PROPORTIONAL = _GROWTH / 2
_LONG_ENOUGH = 0.1  # of a slice, for an estimate
# Seconds that are not measured before and after each call: for reading the usage of the CPUs, and
# for the next epoch's batches. Where calls are shorter, a slice has less training.
_BETWEEN_CALLS = 5e-4
_CHOICES = 6  # choices of the calls, while a slice shows that they are wrong
_MOST_DEVIATION = 1.6  # of the time of a slice from the expected one, as a ratio
# A slice in which other processes use more of a CPU than this does not confirm a choice.
_DISTURBED_SHARE = 0.1

FIXED_SHARE = 0.05  # of a slice: the fixed cost of its call, at most (Keras's `fit` needs 0.1 s)
LONGEST_SLICE = 2.0  # seconds, for contenders with a high fixed cost


def take_turns(
    task: TrainTask, rounds: Rounds, backend: Backend, emit: Emit, commands: Iterable[Command]
) -> None:
    """Prepare the training, then follow the commands. After each, `Ready` says that it waits.

    Args:
        task: the task.
        rounds: how it takes part in rounds.
        backend: the backend.
        emit: called with each event.
        commands: from the runner.
    """
    prepared = prepare(task, backend, emit)
    training = Training(prepared, task, emit)
    emit(training.ready)
    prediction: Optional[Prediction] = None
    for command in commands:
        if command.action == "start":
            training.start(rounds)
        elif command.action == "train":
            emit(training.slice())
        elif command.action == "complete":
            training.complete()
        elif command.action == "predict":
            if prediction is None:
                prediction = training.prediction()
            before = read_usage()
            latency, throughput = prediction.slices()
            emit(SliceEnded("latency", *latency))
            emit(SliceEnded("predict", *throughput, usage_since(before)))
        else:
            training.end(prediction)
            return
        if training.has_diverged():
            return
        emit(training.ready)


class Training:
    """A training that can pause after any call."""

    def __init__(self, prepared: Prepared, task: TrainTask, emit: Emit) -> None:
        """Begin before the first epoch, without compiling anything.

        Args:
            prepared: session and data.
            task: the task.
            emit: called with each event.
        """
        self._has_diverged = False
        self._session, self._model, self._test, self._examples = prepared
        self._task = task
        self._emit = emit
        self._calls = Calls(0)
        self._compiled: set[int] = set()
        self._compile_seconds = 0.0
        self._peaks: tuple[Optional[int], Optional[int]] = (None, None)
        self._epochs_left = task.epochs
        self._evaluation: Optional[Evaluation] = None
        self._epoch = -1
        self._next_epoch()

    @property
    def ready(self) -> Ready:
        """The event that says that the worker waits."""
        return Ready(self._calls if self._calls.steps else None, self._epochs_left)

    def has_diverged(self) -> bool:
        """Return whether the loss of an epoch of the task was not finite; that is reported."""
        return self._has_diverged

    def start(self, rounds: Rounds) -> None:
        """Compile, choose the length of a slice, and train one slice that does not count."""
        steps = rounds.calls.steps if rounds.calls else min(FIRST_STEPS, len(self._batches))
        began = perf_counter()
        with phase("compile", self._emit):
            self._compile(steps)
            self._session.predict(padded(self._test.images, 0, self._task.evaluation_batch))
        self._compile_seconds = perf_counter() - began
        with phase("warm-up", self._emit):
            age_at_start = age()
            seconds, _ = self._call(steps)
            if age_at_start is not None:
                self._emit(FirstStep(age_at_start + seconds / steps))
            if rounds.calls is not None:
                self._calls = rounds.calls
                self._train_odd_steps()
                self.slice()
            else:
                self._choose_calls(rounds.slice_seconds)

    def slice(self) -> SliceEnded:
        """Train the next slice."""
        calls = [self._call(self._calls.steps) for _ in range(self._calls.number)]
        images = len(calls) * self._calls.steps * self._task.job.batch_size
        usage = total_usage(usage for _, usage in calls)
        return SliceEnded("train", images, sum(seconds for seconds, _ in calls), usage)

    def complete(self) -> None:
        """Train the epochs of the task that are left."""
        while self._epochs_left and not self._has_diverged:
            self._call(self._calls.steps)

    def prediction(self) -> Prediction:
        """Note the peak memory of training, and return what measures prediction from now on."""
        self._emit(PhaseBegan("inference"))
        self._peaks = peak_memory(), self._session.device_memory()
        images = self._test.images
        return Prediction(self._session, images, min(self._task.evaluation_batch, len(images)))

    def end(self, prediction: Optional[Prediction]) -> None:
        """Report the results, and explain the trained model if the task says so."""
        if prediction is not None:
            self._emit(prediction.result())
        self._emit(Finished(*self._peaks))
        if self._task.explain and self._evaluation is not None:
            self._emit(
                explain(
                    self._session,
                    self._model,
                    self._task.train,
                    self._examples,
                    *self._test,
                    self._evaluation.predicted,
                    self._compile_seconds,
                )
            )

    def _choose_calls(self, target: float) -> None:
        """Choose the calls of a slice of about `target` seconds, and train one such slice.

        The choice is repeated if that slice shows that it was made while the machine was disturbed.
        If no choice is confirmed, the longest calls are used: disturbances only make them shorter.
        """
        made: list[Calls] = []
        for _ in range(_CHOICES):
            self._calls = Calls(0)  # no step is odd while the length is chosen
            self._calls, expected = self._chosen_calls(target)
            made.append(self._calls)
            self._train_odd_steps()
            trained = self.slice()
            is_as_expected = 1 / _MOST_DEVIATION < trained.seconds / expected < _MOST_DEVIATION
            if is_as_expected and not _is_disturbed(trained.usage):
                return
        self._calls = max(made, key=lambda calls: (calls.steps, calls.number))
        self._train_odd_steps()

    def _chosen_calls(self, target: float) -> tuple[Calls, float]:
        """Choose the calls of a slice; return them with the seconds that they will take.

        Calls become longer until two of them show the fixed cost of a call and the time of a step.
        A slice is longer than the target where the fixed cost would be a large part of it.
        """
        longest = len(self._batches)
        steps = shorter = min(FIRST_STEPS, longest)
        seconds = before = self._fastest_call(steps, target)
        while steps < longest and seconds < target:
            shorter, before = steps, seconds
            steps = min(longest, _GROWTH * steps)
            seconds = self._fastest_call(steps, target)
            if seconds > max(_LONG_ENOUGH * target, _IS_PROPORTIONAL * before):
                break
        per_step, fixed = seconds / steps, 0.0
        if steps > shorter and seconds > before:
            per_step = (seconds - before) / (steps - shorter)
            fixed = max(0.0, seconds - steps * per_step)
        wanted = max(target, min(LONGEST_SLICE, fixed / FIXED_SHARE))
        chosen = min(longest, max(1, round((wanted - fixed) / per_step)))
        chosen = longest // round(longest / chosen)  # so that few steps of an epoch are left over
        seconds = fixed + chosen * per_step
        number = max(1, round(target / (seconds + _BETWEEN_CALLS)))
        return Calls(chosen, number), number * seconds

    def _fastest_call(self, steps: int, long: float) -> float:
        """Return the seconds of the fastest of several calls; one is enough if it is long."""
        seconds = self._call(steps)[0]
        return seconds if seconds > long else min(seconds, self._call(steps)[0])

    def _call(self, steps: int) -> tuple[float, Usage]:
        """Train the next steps of one epoch; return the seconds and the usage of the CPUs."""
        left = len(self._batches) - self._position
        if left < steps:  # only while the length is chosen
            if left:
                self._train(left)
            self._end_epoch()
        result = self._train(steps)
        if self._position == len(self._batches):
            self._end_epoch()
        return result

    def _train(self, steps: int) -> tuple[float, Usage]:
        """Train steps of the current epoch, in one call."""
        batches = self._batches[self._position : self._position + steps]
        rates = learning_rates(self._task.train, steps)
        self._compile(steps)
        before = read_usage()
        start = perf_counter()
        losses = self._session.train(batches, rates)
        seconds = perf_counter() - start
        usage = usage_since(before)
        self._position += steps
        self._seconds += seconds
        self._loss += float(np.sum(losses, dtype=np.float64))
        return seconds, usage

    def _compile(self, steps: int) -> None:
        """Compile for calls of this number of steps, once."""
        if steps not in self._compiled:
            self._session.compile(steps, self._task.job.batch_size)
            self._compiled.add(steps)

    def _end_epoch(self) -> None:
        """Evaluate the epoch if the task asks for it, and begin the next one."""
        if self._epochs_left:
            self._evaluate()
        self._next_epoch()
        self._train_odd_steps()

    def _evaluate(self) -> None:
        task = self._task
        evaluation = evaluate(self._session, *self._test, task.evaluation_batch)
        mean_loss = self._loss / len(self._batches)
        self._has_diverged = not math.isfinite(mean_loss)
        self._emit(
            EpochEnded(
                epoch=self._epoch + 1,
                images=self._batches.size,
                seconds=self._seconds,
                mean_loss=None if self._has_diverged else mean_loss,
                test_accuracy=evaluation.accuracy,
                evaluate_seconds=evaluation.seconds,
                leftover_seconds=evaluation.leftover_seconds,
            )
        )
        self._epochs_left -= 1
        if task.until_accuracy is not None and evaluation.accuracy >= task.until_accuracy:
            self._epochs_left = 0
        self._evaluation = evaluation
        if self._has_diverged:
            reason = f"the loss of epoch {self._epoch + 1} is not a finite number"
            self._emit(Failed("diverged", reason))

    def _next_epoch(self) -> None:
        self._epoch += 1
        self._batches = epoch_batches(self._examples, self._task.train, self._epoch)
        self._position = 0
        self._seconds = 0.0
        self._loss = 0.0

    def _train_odd_steps(self) -> None:
        """Train the steps of the epoch that do not fill a call."""
        if self._calls.steps and not self._has_diverged:
            odd = (len(self._batches) - self._position) % self._calls.steps
            if odd:
                self._train(odd)


def _is_disturbed(usage: Optional[Usage]) -> bool:
    """Return whether other processes or machines took a part of the CPUs."""
    if usage is None:
        return False
    taken = (usage.other_seconds or 0.0) + (usage.steal_seconds or 0.0)
    return taken > _DISTURBED_SHARE * usage.wall_seconds
