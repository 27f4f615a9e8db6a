"""Rounds: contenders that take turns, and what happens when one of them fails.

Workers are scripted; one test runs real ones.
"""

import os
import signal
from types import SimpleNamespace

import msgspec
import psutil
import pytest
from support.idx_files import write_tiny
from support.scripted import BUSY, EPOCH_SECONDS, Answer, ScriptedExecutor, trained

from backends.registry import recipes
from bench.data.prepare import prepare
from bench.records.manifest import ModelFacts
from bench.records.rates import compared_throughput
from bench.records.writer import RunFolder
from bench.run import admission
from bench.run.executor import LocalExecutor
from bench.run.experiment import Experiment
from bench.run.runner import TrialRunner
from bench.spec.job import Job, Trial
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Sgd
from bench.worker.protocol import SliceEnded

ROUNDS = 3
MODES = ("first", "second", "third")


class Order:
    """Notes which trial ran a slice of training."""

    def __init__(self):
        self.slices = []
        self.ended = []

    def trial_began(self, trial):
        pass

    def trial_event(self, trial, event):
        if isinstance(event, SliceEnded) and event.kind == "train":
            self.slices.append(trial.job.mode)

    def trial_disturbed(self, trial, record):
        raise AssertionError("no trial is retried in rounds")

    def trial_ended(self, trial, record):
        self.ended.append(trial.job.mode)


def run(folder, executor, trials, observer=None, **changes):
    experiment = Experiment(
        models={"tiny": ModelFacts(sequential(Flatten(), Dense(3)), 93, 90)},
        recipes=recipes(),
        framework_versions={"numpy": "2", "fake": "1.0", "torch": None},
        dataset="tiny",
        data=prepare(write_tiny(folder / "tiny")).folder,
        optimizer=Sgd(),
        epochs=2,
        train_samples=None,
        threads=1,
        cpus=(),
        timeout=60,
        rounds=ROUNDS,
    )
    experiment = msgspec.structs.replace(experiment, **changes)
    with RunFolder(folder / "run") as opened:
        return list(TrialRunner(experiment, executor, opened, observer or Order()).run(trials))


def trial(mode, repeat=1, backend="fake", batch_size=16):
    return Trial(Job("tiny", batch_size, backend, mode, "cpu"), seed=repeat - 1, repeat=repeat)


@pytest.fixture(autouse=True)
def _steady(plugin, steady_canary):
    pass


def test_contenders_take_turns_in_random_order(tmp_path):
    observer = Order()
    records = run(tmp_path, ScriptedExecutor(), [trial(mode) for mode in MODES], observer)
    rounds = [observer.slices[at : at + 3] for at in range(0, len(observer.slices), 3)]
    assert len(rounds) == ROUNDS
    assert all(sorted(each) == sorted(MODES) for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert [record.outcome for record in records] == ["ok"] * 3
    assert len({record.rounds_began_at for record in records}) == 1


def test_a_record_contains_its_slices(tmp_path):
    (record,) = run(tmp_path, ScriptedExecutor(), [trial("first")])
    kinds = [each.kind for each in record.slices]
    assert kinds == ["train"] * ROUNDS + ["latency", "predict"] * ROUNDS
    assert record.throughput_images_per_second == pytest.approx(4 * 16 / EPOCH_SECONDS)
    assert record.test_accuracy == 0.35
    assert len(record.per_epoch) == 2
    assert record.inference is not None


def test_rankings_and_repeats_have_rounds_of_their_own(tmp_path):
    observer = Order()
    trials = [
        *(trial(mode, repeat) for repeat in (1, 2) for mode in MODES[:2]),
        trial("first", batch_size=8),
    ]
    records = run(tmp_path, ScriptedExecutor(), trials, observer)
    assert len({record.rounds_began_at for record in records}) == 3
    assert observer.ended == ["first", "second", "first", "second", "first"]


def test_a_later_repeat_uses_the_slices_of_the_first(tmp_path):
    executor = ScriptedExecutor()
    run(tmp_path, executor, [trial("first"), trial("first", 2)])
    first, second = (task.rounds for task in executor.trained)
    assert first.calls is None
    assert second.calls.steps == 4


class SmallMachine(ScriptedExecutor):
    """An executor on a machine with memory for two and a half workers, which notes what is alive.

    Attributes:
        most: largest number of workers that were alive at the same time.
    """

    def __init__(self, monkeypatch):
        super().__init__()
        self.alive, self.most = set(), 0
        free = lambda: int((2.5 - len(self.alive)) * 2**26)  # noqa: E731
        monkeypatch.setattr(admission, "available_memory", free)

    def open(self, *arguments):
        worker = super().open(*arguments)
        self.alive.add(worker)
        self.most = max(self.most, len(self.alive))
        close = worker.close
        worker.close = lambda: (self.alive.discard(worker), close())[1]
        return worker


def test_contenders_without_room_take_turns_with_one_that_stays_alive(tmp_path, monkeypatch):
    machine = SmallMachine(monkeypatch)
    trials = [trial(mode, repeat) for repeat in (1, 2) for mode in MODES]
    records = run(tmp_path, machine, trials)
    assert machine.most == 2
    assert [record.outcome for record in records] == ["ok"] * 6
    for repeat in (1, 2):
        rounds = [
            {each.round for each in record.slices if each.kind == "train"}
            for record in records
            if record.repeat == repeat
        ]
        one, other, anchor = sorted(rounds, key=len)
        assert one.isdisjoint(other), "they are never alive at the same time"
        assert anchor == one | other, "the third is the bridge between them"
    assert compared_throughput(records).keys() == {record.trial for record in records}


@pytest.mark.parametrize(("mode", "outcome"), [("raises", "failed"), ("killed", "crashed")])
def test_a_contender_that_fails_loses_only_its_own_record(tmp_path, mode, outcome):
    records = run(tmp_path, ScriptedExecutor(), [trial(mode), trial("first"), trial("second")])
    assert {record.job.mode: record.outcome for record in records} == {
        mode: outcome,
        "first": "ok",
        "second": "ok",
    }


def test_a_contender_without_a_framework_starts_no_worker(tmp_path):
    executor = ScriptedExecutor()
    records = run(tmp_path, executor, [trial("eager", backend="torch"), trial("first")])
    assert [record.outcome for record in records] == ["unavailable", "ok"]
    assert len(executor.tasks) == 1


def test_disturbed_slices_do_not_count_and_are_replaced(tmp_path):
    busy = trial("second")
    executor = ScriptedExecutor([None, None])
    executor.open = _opening(executor, busy)
    records = run(tmp_path, executor, [trial("first"), busy])
    first, second = records
    assert all(not each.flags for each in first.slices)
    flags = [each.flags for each in second.slices if each.kind == "train"]
    assert flags == [("other processes",)] * round(1.5 * ROUNDS)
    assert second.throughput_images_per_second == pytest.approx(4 * 16 / EPOCH_SECONDS)


def _opening(executor, busy):
    """Let other processes use the CPUs during the slices of one trial."""
    usual = type(executor).open

    def open_(task, launch, timeout):
        if task.job == busy.job:
            executor.answers[:] = [trained(task, usage=BUSY)]
        return usual(executor, task, launch, timeout)

    return open_


def test_an_interrupt_ends_all_contenders(tmp_path):
    executor = ScriptedExecutor()
    answer = SimpleNamespace(task=None)
    usual = executor.open

    def open_(task, launch, timeout):
        if task.job.mode == "second":
            executor.answers[:] = [Answer(trained(task).events, interrupt=True)]
        answer.task = task
        return usual(task, launch, timeout)

    executor.open = open_
    records = run(tmp_path, executor, [trial("first"), trial("second"), trial("first", 2)])
    assert [record.outcome for record in records] == ["interrupted", "interrupted"]
    assert answer.task.seed == 0


@pytest.mark.process
def test_real_workers_are_stopped_while_they_wait(tmp_path):
    states = []

    class Watching(Order):
        def trial_event(self, trial, event):
            super().trial_event(trial, event)
            if isinstance(event, SliceEnded):
                children = psutil.Process().children()
                states.append(sorted(child.status() for child in children))

    trials = [trial("eager", backend="numpy"), trial("eager", backend="numpy", batch_size=16)]
    trials[1] = msgspec.structs.replace(
        trials[1], job=msgspec.structs.replace(trials[1].job, environment=("A=1",))
    )
    records = run(tmp_path, LocalExecutor(), trials, Watching())
    assert [record.outcome for record in records] == ["ok", "ok"]
    assert [len(record.per_epoch) for record in records] == [2, 2]
    assert records[0].per_epoch[1].test_accuracy == records[1].per_epoch[1].test_accuracy
    # While one worker has just ended its slice, the other one is stopped.
    assert all(psutil.STATUS_STOPPED in each for each in states[:ROUNDS])
    assert not psutil.Process().children()


@pytest.mark.process
def test_a_worker_that_is_killed_while_it_waits_is_recorded(tmp_path):
    class Killing(Order):
        def trial_event(self, trial, event):
            super().trial_event(trial, event)
            if len(self.slices) == 1 and isinstance(event, SliceEnded):
                for child in psutil.Process().children():
                    if child.status() == psutil.STATUS_STOPPED:
                        os.kill(child.pid, signal.SIGKILL)

    trials = [trial("eager", backend="numpy"), trial("eager", backend="numpy")]
    trials[1] = msgspec.structs.replace(
        trials[1], job=msgspec.structs.replace(trials[1].job, environment=("A=1",))
    )
    records = run(tmp_path, LocalExecutor(), trials, Killing())
    assert sorted(record.outcome for record in records) == ["crashed", "ok"]
    crashed = next(record for record in records if record.outcome == "crashed")
    assert "SIGKILL" in crashed.reason
