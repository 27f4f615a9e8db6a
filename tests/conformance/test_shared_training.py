"""The processes that share a training with a worker: none outlives it, and a dead one is named."""

import os
import signal

import pytest
from support.processes import none_left, started_here

from backends.registry import installed_version, recipes
from bench.data.prepare import prepare
from bench.run.executor import LocalExecutor
from bench.run.launch import launch_of
from bench.spec.job import Job
from bench.spec.models import build
from bench.spec.training import Sgd
from bench.worker.protocol import Failed, PhaseEnded, TrainTask

TORCH = recipes()["torch"]
pytestmark = pytest.mark.skipif(not installed_version(TORCH), reason="PyTorch is not installed")
TOO_MANY = 10_000  # epochs: without a signal it does not end in time
SECONDS = 300
RANK = "spawn_main"  # in the command of a process that another one spawned


def task():
    return TrainTask(
        adapter=TORCH.adapter,
        job=Job("mlp", 64, "torch", "eager", "cpu", world_size=2),
        model=build("mlp"),
        epochs=TOO_MANY,
        seed=0,
        optimizer=Sgd(),
        data=str(prepare(None).folder),
        train_samples=640,
    )


def when_ready(folder, act):
    """Run until all processes have made their sessions, then act; the events, and the end."""
    events = []

    def on_event(event):
        events.append(event)
        if isinstance(event, PhaseEnded) and event.phase == "compile":
            act()

    launch = launch_of(TORCH, {"MARKER": str(folder)})
    return events, LocalExecutor().run(task(), launch, SECONDS, on_event)


def pids(folder, part):
    """Of the worker's processes whose command holds the text."""
    found = (line.split(" ", 1) for line in started_here(folder))
    return [int(pid) for pid, command in found if part in command]


def test_a_worker_that_is_killed_takes_the_others_with_it(tmp_path):
    left = []

    def kill():
        assert pids(tmp_path, RANK)
        (worker,) = pids(tmp_path, "bench.worker")
        os.kill(worker, signal.SIGKILL)
        left.append(not none_left(tmp_path))  # before the executor looks for strays

    _, end = when_ready(tmp_path, kill)
    assert end.exit_status == -signal.SIGKILL
    assert left == [False]


def test_an_interrupted_trial_leaves_no_process(tmp_path):
    def interrupt():
        assert pids(tmp_path, RANK)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        when_ready(tmp_path, interrupt)
    assert none_left(tmp_path)


def test_a_process_that_dies_is_named(tmp_path):
    def kill_one():
        (rank,) = pids(tmp_path, RANK)
        os.kill(rank, signal.SIGKILL)

    events, end = when_ready(tmp_path, kill_one)
    assert not end.timed_out
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert "rank 1 of 2 failed: it ended with exit status -9" in failed.reason
    assert none_left(tmp_path)
