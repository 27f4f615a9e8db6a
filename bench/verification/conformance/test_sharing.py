"""Data-parallel training: several processes or devices must compute the same as one.

The tests start workers, as a run does, because a framework must know its devices before it starts.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from bench.data.prepare import prepare
from bench.run.executor import LocalExecutor
from bench.run.launch import launch_of, parallel_variables
from bench.spec.job import Job
from bench.spec.layers import Conv, Dense, Flatten, MaxPool, sequential
from bench.spec.models import build
from bench.spec.training import Optimizer
from bench.verification.case import OPTIMIZERS
from bench.verification.conformance.contender import THREADS, BackendMode
from bench.worker.protocol import (
    Checked,
    EpochEnded,
    Event,
    Failed,
    ModelCheck,
    PreliminaryTask,
    TrainTask,
)

WORLD_SIZE = 2
HOSTS = 2
SECONDS = 600
SMALL = sequential(Conv(4, 3), MaxPool(2), Flatten(), Dense(3))
MOMENTUM = OPTIMIZERS["SGD with momentum"]


def skip_unless_parallel(contender: BackendMode) -> None:
    if contender.mode not in contender.recipe.parallel_modes:
        pytest.skip("not data-parallel")


def world_size_of(task: TrainTask | PreliminaryTask) -> int:
    """Return how many processes or devices share each batch of the task."""
    return (task.job if isinstance(task, TrainTask) else task.jobs[0]).world_size


def run_here(contender: BackendMode, task: TrainTask | PreliminaryTask) -> list[Event]:
    """Return all events of the task on this machine."""
    return run_in(contender.recipe.processes_for(world_size_of(task)), contender, task)


def run_in(
    processes: int, contender: BackendMode, task: TrainTask | PreliminaryTask
) -> list[Event]:
    """Return all events of the task when it is shared by a number of worker processes."""
    events: list[Event] = []
    recipe = contender.recipe
    variables = parallel_variables(recipe, world_size_of(task) // processes)
    launch = launch_of(recipe, recipe.cold | variables)
    shared = msgspec.structs.replace(task, processes=processes)
    end = LocalExecutor().run(shared, launch, SECONDS, events.append)
    assert not end.timed_out, end.log
    return events


def job_of(contender: BackendMode, model: str, batch_size: int, world_size: int) -> Job:
    return Job(
        model, batch_size, contender.recipe.name, contender.mode, "cpu", world_size=world_size
    )


def train_task(contender: BackendMode, world_size: int, batch_size: int) -> TrainTask:
    return TrainTask(
        adapter=contender.recipe.adapter,
        threads=THREADS,
        job=job_of(contender, "mlp", batch_size, world_size),
        model=build("mlp"),
        epochs=2,
        seed=0,
        optimizer=MOMENTUM,
        data=str(prepare(None).folder),
        train_samples=640,
    )


def run_on_hosts(contender: BackendMode, task: TrainTask | PreliminaryTask) -> list[Event]:
    """Return all events of the task when a worker process on each of two hosts shares it.

    Both hosts are this machine. Their processes are started and connected as on two machines.

    Raises:
        pytest.skip.Exception: the backend does not share a training between machines.
    """
    if not contender.recipe.joins_hosts:
        pytest.skip("does not share a training between machines")
    return run_in(HOSTS, contender, task)


def verify_task(contender: BackendMode, optimizers: dict[str, Optimizer]) -> PreliminaryTask:
    return PreliminaryTask(
        adapter=contender.recipe.adapter,
        threads=THREADS,
        device="cpu",
        jobs=(job_of(contender, "small", 0, WORLD_SIZE),),
        models={"small": ModelCheck(SMALL, (6, 6, 2), optimizers)},
    )


def assert_all_passed(events: list[Event]) -> None:
    (checked,) = of_kind(events, Checked)
    assert checked.error == ""
    assert checked.checks
    assert [check for check in checked.checks if not check.passed] == []


def of_kind(events: list[Event], kind: Any) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_a_shared_batch_agrees_with_the_reference(contender: BackendMode) -> None:
    skip_unless_parallel(contender)
    assert_all_passed(run_here(contender, verify_task(contender, OPTIMIZERS)))


def test_a_batch_shared_by_hosts_agrees_with_the_reference(contender: BackendMode) -> None:
    skip_unless_parallel(contender)
    # One optimizer is enough: it does not matter to an optimizer where the gradients come from.
    assert_all_passed(run_on_hosts(contender, verify_task(contender, {"momentum": MOMENTUM})))


def test_losses_equal_those_of_one_process(contender: BackendMode) -> None:
    skip_unless_parallel(contender)
    # Prefer hosts, because processes on two hosts have less in common than those on one.
    shared = run_on_hosts if contender.recipe.joins_hosts else run_here
    alone, together = (
        of_kind(run_with(contender, train_task(contender, size, 32)), EpochEnded)
        for size, run_with in ((1, run_here), (WORLD_SIZE, shared))
    )
    assert_equal_epochs(alone, together)


def assert_equal_epochs(alone: list[EpochEnded], shared: list[EpochEnded]) -> None:
    assert len(shared) == len(alone) == 2
    wanted, got = (
        np.array([epoch.mean_loss for epoch in each], np.float64) for each in (alone, shared)
    )
    np.testing.assert_allclose(got, wanted, rtol=1e-4)
    for one, two in zip(alone, shared):
        assert two.images == one.images
        assert two.test_accuracy == pytest.approx(one.test_accuracy, abs=2e-3)


def test_a_batch_that_cannot_be_shared_is_refused(contender: BackendMode) -> None:
    skip_unless_parallel(contender)
    task = train_task(contender, WORLD_SIZE, 3)
    (failed,) = of_kind(run_here(contender, task), Failed)
    assert failed.outcome == "failed"
    assert "a batch of 3 images cannot be split into 2 equal parts" in failed.reason


def test_the_recipe_states_which_modes_are_parallel(contender: BackendMode) -> None:
    recipe, mode = contender.recipe, contender.mode
    refusal = recipe.unsupported_parallel(mode, "resident", WORLD_SIZE)
    assert (refusal == "") == (mode in recipe.parallel_modes)
    if refusal:
        assert f"does not support mode '{mode}' at world size 2" in refusal
