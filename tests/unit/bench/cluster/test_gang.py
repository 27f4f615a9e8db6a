"""A training that several hosts share: workers of this machine stand for those of the others."""

import os
import signal
import socket
import threading

import msgspec
import pytest
from support.processes import none_left, started_here

from bench.cluster.gang import Follower, GangExecutor, free_address
from bench.data.prepare import prepare
from bench.run.executor import LocalExecutor
from bench.run.launch import launch_of
from bench.spec.job import Job
from bench.spec.models import build
from bench.spec.training import Sgd
from bench.worker.protocol import (
    EpochEnded,
    Failed,
    Finished,
    Imported,
    PhaseEnded,
    TrainTask,
)

HERE = "127.0.0.1"
SECONDS = 60


class Watched(LocalExecutor):
    """Keeps the tasks that it runs, and does something when one begins."""

    def __init__(self, act=lambda task: None):
        super().__init__()
        self.tasks = []
        self._act = act

    def run(self, task, launch, timeout, on_event):
        self.tasks.append(task)
        self._act(task)
        return super().run(task, launch, timeout, on_event)


@pytest.fixture
def recipe(plugin, tmp_path):
    from evenbench_fake import RECIPE

    return msgspec.structs.replace(RECIPE, environment={"MARKER": str(tmp_path)})


@pytest.fixture
def task(recipe, tiny_data):
    return TrainTask(
        adapter=recipe.adapter,
        job=Job("mlp", 9, "fake", "works", "cpu", world_size=3, hosts=3),
        model=build("mlp"),
        epochs=2,
        seed=0,
        optimizer=Sgd(),
        data=str(prepare(tiny_data).folder),
        hosts=3,
    )


def job_with(task, **changes):
    return msgspec.structs.replace(task.job, **changes)


def shared(task, recipe, *others, own=None, act=lambda event: None):
    """The events of a task whose helpers have these executors, and its end."""
    helpers = [
        Follower(f"machine-{number}", HERE, executor, {"fake": recipe}, [0])
        for number, executor in enumerate(others, start=1)
    ]
    events = []

    def on_event(event):
        events.append(event)
        act(event)

    executor = GangExecutor(own or LocalExecutor(), HERE, helpers)
    return events, executor.run(task, launch_of(recipe), SECONDS, on_event)


def failure(events):
    (failed,) = [event for event in events if isinstance(event, Failed)]
    return failed


def test_every_host_has_a_worker_and_the_first_one_tells(task, recipe, tmp_path):
    own, others = Watched(), [Watched(), Watched()]
    events, end = shared(task, recipe, *others, own=own)
    assert end.exit_status == 0, end.log
    assert [type(event) for event in events].count(EpochEnded) == 2
    assert isinstance(events[-1], Finished)
    tasks = [each.tasks[0] for each in (own, *others)]
    assert [each.seat.host for each in tasks] == [0, 1, 2]
    assert len({each.seat.addresses for each in tasks}) == 1
    assert len({*tasks[0].seat.addresses, tasks[0].seat.meeting}) == 4
    assert none_left(tmp_path)


def test_a_task_of_one_host_needs_no_other(task, recipe):
    other = Watched()
    alone = msgspec.structs.replace(task, hosts=1, job=job_with(task, world_size=1, hosts=1))
    events, end = shared(alone, recipe, other)
    assert end.exit_status == 0
    assert any(isinstance(event, Finished) for event in events)
    assert other.tasks == []


def test_a_helper_without_an_interpreter_is_not_waited_for(task, recipe):
    broken = msgspec.structs.replace(recipe, interpreter="/nowhere/python")
    helpers = [
        Follower("sound", HERE, LocalExecutor(), {"fake": recipe}, [0]),
        Follower("broken", HERE, LocalExecutor(), {"fake": broken}, [0]),
    ]
    events = []
    executor = GangExecutor(LocalExecutor(), HERE, helpers)
    end = executor.run(task, launch_of(recipe), SECONDS, events.append)
    assert not end.timed_out
    failed = failure(events)
    assert failed.outcome == "failed"
    assert "host 2 of 3: the worker could not be started" in failed.reason
    assert "on broken: the worker could not be started" in failed.reason


def test_a_framework_that_shares_nothing_between_machines_says_so(task, recipe):
    alone = msgspec.structs.replace(task, adapter="backends.numpy.backend:NumpyBackend", hosts=2)
    events, _ = shared(alone, recipe, LocalExecutor())
    failed = failure(events)
    assert failed.outcome == "unsupported"
    assert failed.reason.startswith("NumPy does not support training over several hosts")


def test_a_worker_that_fails_on_another_host_is_named(task, recipe):
    events, _ = shared(
        msgspec.structs.replace(task, job=job_with(task, mode="raises")),
        recipe,
        *[LocalExecutor()] * 2,
    )
    failed = failure(events)
    assert failed.outcome == "failed"
    assert "on machine-1" in failed.reason or "host 1 of 3 failed" in failed.reason


def test_a_worker_that_is_killed_on_another_host_is_named(task, recipe, tmp_path):
    def kill_followers(event):
        if isinstance(event, PhaseEnded) and event.phase == "compile":
            (leader,) = leaders
            for line in started_here(tmp_path):
                pid, command = line.split(" ", 1)
                if "bench.worker" in command and int(pid) != leader:
                    os.kill(int(pid), signal.SIGKILL)

    leaders = []

    class Own(LocalExecutor):
        def run(self, task, launch, timeout, on_event):
            def noted(event):
                if isinstance(event, Imported):
                    leaders.append(leading(tmp_path, task))
                on_event(event)

            return super().run(task, launch, timeout, noted)

    steady = msgspec.structs.replace(task, job=job_with(task, mode="steady"))
    events, end = shared(
        steady, recipe, LocalExecutor(), LocalExecutor(), own=Own(), act=kill_followers
    )
    assert not end.timed_out
    failed = failure(events)
    assert "host 1 of 3 failed: its connection broke off" in failed.reason
    assert "on machine-1: ended with exit status -9" in failed.reason
    assert none_left(tmp_path)


def leading(folder, task):
    """The worker that the others are connected to: it listened where they met."""
    import psutil

    port = int(task.seat.meeting.rpartition(":")[2])
    for line in started_here(folder):
        pid = int(line.split(" ", 1)[0])
        used = psutil.Process(pid).net_connections("tcp")
        if any(each.laddr.port == port for each in used):
            return pid
    raise AssertionError("nobody leads")


def test_strangers_who_come_to_the_meeting_are_sent_away(task, recipe):
    def visit(task):
        def call():
            name, _, port = task.seat.meeting.rpartition(":")
            while not over.is_set():
                try:
                    with socket.create_connection((name, int(port)), 1) as peer:
                        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
                        came.set()
                        peer.recv(100)
                        return
                except OSError:
                    continue

        threading.Thread(target=call, daemon=True).start()
        came.wait(SECONDS)

    over, came = threading.Event(), threading.Event()
    # The worker of host 1 begins only once the stranger has been there.
    late = Watched(visit)
    job = job_with(task, batch_size=8, world_size=2, hosts=2)
    two = msgspec.structs.replace(task, job=job, hosts=2)
    events, end = shared(two, recipe, late)
    over.set()
    assert end.exit_status == 0, end.log
    assert came.is_set()
    assert any(isinstance(event, Finished) for event in events)


def test_a_free_address_can_be_listened_at():
    name, _, port = free_address(HERE).rpartition(":")
    with socket.create_server((name, int(port))):
        assert name == HERE
