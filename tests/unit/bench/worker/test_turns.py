"""Training in slices does the same work as training without interruption."""

import numpy as np
import pytest
from support.idx_files import write_tiny

from backends.numpy.backend import NumpyBackend
from backends.numpy.session import NumpySession
from bench.data.prepare import prepare
from bench.spec.job import Job
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Sgd
from bench.worker import turns
from bench.worker.protocol import (
    Calls,
    Command,
    EpochEnded,
    Explained,
    Failed,
    Finished,
    Predicted,
    Ready,
    Rounds,
    SliceEnded,
    TrainTask,
)
from bench.worker.training import train
from bench.worker.turns import take_turns


def actions(*names):
    return [Command(name) for name in names]


@pytest.fixture
def task(tmp_path):
    data = str(prepare(write_tiny(tmp_path / "tiny")).folder)

    def make(**changes):
        values = {
            "adapter": "backends.numpy.backend:NumpyBackend",
            "job": Job("tiny", 8, "numpy", "eager", "cpu"),
            "model": sequential(Flatten(), Dense(3)),
            "epochs": 3,
            "seed": 0,
            "optimizer": Sgd(),
            "data": data,
            "evaluation_batch": 5,
        }
        return TrainTask(**{**values, **changes})

    return make


def events_of(task, rounds, commands):
    events = []
    take_turns(task, rounds, NumpyBackend(1), events.append, [Command("start"), *commands])
    return events


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("calls", [Calls(1), Calls(2, 3), Calls(4), None])
def test_slices_train_the_same_steps_as_whole_epochs(task, calls):
    whole = []
    train(task(), NumpyBackend(1), whole.append)
    sliced = events_of(task(), Rounds(calls=calls), actions("train", "complete", "end"))
    found = [(each.epoch, each.mean_loss, each.test_accuracy) for each in of(EpochEnded, sliced)]
    expected = [(each.epoch, each.mean_loss, each.test_accuracy) for each in of(EpochEnded, whole)]
    assert len(found) == 3
    assert np.allclose(found, expected, rtol=1e-6)


def test_the_worker_says_when_it_waits(task):
    events = events_of(task(), Rounds(calls=Calls(2)), actions("train", "complete", "end"))
    assert [each.epochs_left for each in of(Ready, events)][-1] == 0
    assert [each.calls is None for each in of(Ready, events)] == [True, False, False, False]
    assert isinstance(events[-1], Finished)


def test_a_contender_that_has_trained_its_epochs_continues(task):
    commands = actions("complete", *["train"] * 20, "end")
    events = events_of(task(epochs=1), Rounds(calls=Calls(2)), commands)
    assert len(of(EpochEnded, events)) == 1
    assert [each.images for each in of(SliceEnded, events)] == [16] * 20


def test_prediction_is_measured_in_slices(task):
    commands = actions("complete", "predict", "predict", "end")
    events = events_of(task(explain=True), Rounds(calls=Calls(2)), commands)
    slices = of(SliceEnded, events)
    assert [each.kind for each in slices] == ["latency", "predict"] * 2
    (predicted,) = of(Predicted, events)
    assert predicted.latency_calls == sum(each.images for each in slices[::2])
    assert predicted.calls * 5 == sum(each.images for each in slices[1::2])
    assert len(of(Explained, events)) == 1


def test_training_ends_at_the_accuracy(task):
    events = events_of(
        task(until_accuracy=0.01), Rounds(calls=Calls(2)), actions("complete", "end")
    )
    assert len(of(EpochEnded, events)) == 1


def test_a_training_that_diverges_ends(task):
    model = sequential(Flatten(), Dense(8), Dense(8), Dense(3))
    diverging = task(model=model, optimizer=Sgd(learning_rate=900.0), epochs=200)
    events = events_of(diverging, Rounds(calls=Calls(2)), actions("complete", "train", "end"))
    (failed,) = of(Failed, events)
    assert failed.outcome == "diverged"
    assert events[-1] == failed


class Paced:
    """A session whose calls take a fixed time and a time per step, on a clock of its own.

    Between the two times of `slow`, each takes longer, by a factor that changes.
    """

    def __init__(self, fixed, per_step, slow=(0.0, 0.0)):
        self.lengths = []
        self.now = 0.0
        self.steps = []
        self._fixed = fixed
        self._per_step = per_step
        self._slow = slow

    def compile(self, steps, batch_size):
        pass

    def train(self, batches, rates):
        self.steps.append(len(batches))
        seconds = self._fixed + self._per_step * len(batches)
        self.lengths.append(len(batches))
        is_slow = self._slow[0] <= self.now < self._slow[1]
        self.now += (30 + 10 * (len(self.lengths) % 5)) * seconds if is_slow else seconds
        return np.ones(len(batches), np.float32)


@pytest.mark.parametrize(
    ("fixed", "per_step", "expected"),
    [
        (0.0, 0.001, Calls(333)),  # a third of an epoch: no step is left over
        (0.0, 1.0, Calls(1)),
        (0.1, 0.004, Calls(500)),  # two seconds, of which the fixed cost is a twentieth
        (0.0, 0.00001, Calls(1000, 29)),
        (0.0, 0.0000001, Calls(1000, 500)),  # most of the time is between the calls
    ],
)
def test_slices_are_long_enough_for_their_fixed_cost(monkeypatch, task, fixed, per_step, expected):
    session = Paced(fixed, per_step)
    training = paced_training(monkeypatch, task, session)
    calls, seconds = training._chosen_calls(0.3)
    assert calls == expected
    assert seconds == pytest.approx(calls.number * (fixed + calls.steps * per_step))


def paced_training(monkeypatch, task, session):
    """A training of 1,000 steps per epoch, without evaluation."""
    monkeypatch.setattr(turns, "perf_counter", lambda: session.now)
    monkeypatch.setattr(turns.Training, "_evaluate", lambda self: None)
    return turns.Training(turns.Prepared(session, None, None, 8000), task(), lambda event: None)


def test_without_an_undisturbed_choice_the_longest_calls_are_used(monkeypatch, task):
    session = Paced(0.0, 0.001, slow=(0.35, 1e9))
    training = paced_training(monkeypatch, task, session)
    training._choose_calls(0.3)
    assert training.ready.calls == Calls(333)
    assert 0 < min(session.lengths) <= max(session.lengths) <= 1000
    training.slice()
    assert 333 in session.lengths[-2:]


def test_a_second_choice_does_not_call_without_steps(monkeypatch, task):
    session = Paced(0.0, 0.001)
    training = paced_training(monkeypatch, task, session)
    training._calls = Calls(7)  # of an earlier choice; six steps of an epoch do not fill such calls
    training._choose_calls(10.0)
    assert training.ready.calls.steps == 1000
    assert min(session.lengths) > 0


def test_calls_that_were_chosen_during_a_disturbance_are_chosen_again(monkeypatch, task):
    session = Paced(0.0, 0.001, slow=(0.0, 1.0))
    training = paced_training(monkeypatch, task, session)
    training._choose_calls(0.3)
    assert training.ready.calls == Calls(333)


@pytest.mark.parametrize("per_step", np.geomspace(1e-4, 1e-2, 9).tolist())
def test_every_call_has_steps(monkeypatch, task, per_step):
    session = Paced(0.0, per_step)
    training = paced_training(monkeypatch, task, session)
    training._choose_calls(0.3)
    training.slice()
    assert min(session.steps) > 0


def test_the_evaluation_follows_a_whole_call(monkeypatch, task):
    """An odd call there is too short to show that an adapter does not wait for the device."""
    lengths, last = [], []
    usual_train, usual_evaluate = NumpySession.train, turns.evaluate

    def training(session, batches, rates):
        lengths.append(len(batches))
        return usual_train(session, batches, rates)

    def evaluating(*arguments):
        last.append(lengths[-1])
        return usual_evaluate(*arguments)

    monkeypatch.setattr(NumpySession, "train", training)
    monkeypatch.setattr(turns, "evaluate", evaluating)
    events_of(task(), Rounds(calls=Calls(3)), actions("complete", "end"))
    assert set(lengths) != {3}
    assert last == [3, 3, 3]
