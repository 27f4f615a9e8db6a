"""Processes that share a training: none outlives the trial, and one that dies is named."""

import os
import signal

import msgspec
import pytest
from support.processes import none_left, started_here

from backends.registry import installed_version, recipes
from bench.data.prepare import prepare
from bench.run.executor import LocalExecutor, LocalMember, rank_tasks
from bench.run.launch import launch_of
from bench.run.worker_group import run_group
from bench.spec.job import Job
from bench.spec.layers import Conv, Dense, Flatten, sequential
from bench.spec.models import build
from bench.spec.training import Sgd
from bench.worker.protocol import (
    Checked,
    Failed,
    ModelCheck,
    PhaseEnded,
    PreliminaryTask,
    TrainTask,
)

TORCH = recipes()["torch"]
pytestmark = pytest.mark.skipif(not installed_version(TORCH), reason="PyTorch is not installed")
TOO_MANY = 10_000  # epochs: without a signal it does not end in time
SECONDS = 300


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
        processes=2,
    )


def when_ready(folder, act):
    """Run until both processes have made their sessions, then act; the events, and the end."""
    events = []

    def on_event(event):
        events.append(event)
        if isinstance(event, PhaseEnded) and event.phase == "compile":
            act()

    members = [
        LocalMember(f"rank {rank} of 2", LocalExecutor(), each, launch(folder, rank), SECONDS)
        for rank, each in enumerate(rank_tasks(task()))
    ]
    return events, run_group(members, SECONDS, on_event)


def launch(folder, rank):
    return launch_of(TORCH, {"MARKER": str(folder / f"rank-{rank}")})


def kill(folder, rank):
    (line,) = started_here(folder / f"rank-{rank}")
    os.kill(int(line.split(" ", 1)[0]), signal.SIGKILL)


def failures(events):
    return [event for event in events if isinstance(event, Failed)]


def test_when_rank_0_is_killed_the_other_process_ends_too(tmp_path):
    events, end = when_ready(tmp_path, lambda: kill(tmp_path, 0))
    assert end.exit_status == -signal.SIGKILL
    assert failures(events) == [], "the exit status says what happened"
    assert none_left(tmp_path)


def test_an_interrupted_trial_leaves_no_process(tmp_path):
    def interrupt():
        assert len(started_here(tmp_path)) == 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        when_ready(tmp_path, interrupt)
    assert none_left(tmp_path)


def test_a_process_that_dies_is_named(tmp_path):
    events, end = when_ready(tmp_path, lambda: kill(tmp_path, 1))
    assert not end.timed_out
    (failed,) = failures(events)
    assert failed.outcome == "crashed"
    assert "rank 1 of 2: the worker ended after phase compile, killed by SIGKILL" in failed.reason
    assert none_left(tmp_path)


def test_the_time_limit_ends_all_processes(tmp_path):
    end = LocalExecutor().run(task(), launch(tmp_path, 0), 1.0, lambda event: None)
    assert end.timed_out
    assert none_left(tmp_path)


def test_ranks_that_come_to_different_results_fail_the_certificate_and_do_not_hang(plugin):
    """Each would go another way to find the faulty layer: rank 0 decides for both."""
    layer = sequential(Conv(4, 3), Flatten(), Dense(3))
    job = msgspec.structs.replace(task().job.certified(), model="small")
    unequal = PreliminaryTask(
        adapter="evenbench_fake.unequal_ranks:UnequalRanks",
        device="cpu",
        jobs=(job,),
        models={"small": ModelCheck(layer, (6, 6, 2), {"SGD": Sgd()})},
        processes=2,
    )
    events = []
    end = LocalExecutor().run(unequal, launch_of(TORCH), SECONDS, events.append)
    assert not end.timed_out, end.log
    (checked,) = [event for event in events if isinstance(event, Checked)]
    failed = {check.name: check.where for check in checked.checks if not check.passed}
    assert failed["logits in training"] == "0.conv"
    assert "logits in inference" not in failed, "rank 0 predicts with its own weights"
