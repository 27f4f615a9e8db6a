"""Tasks that several nodes run together; workers of this machine replace those of other nodes."""

import os
import signal
import socket

import msgspec
import pytest
from support.processes import none_left, started_here

from bench.cluster.node_group import NodeGroupExecutor, NodeWorkers
from bench.data.prepare import prepare
from bench.run.executor import LocalExecutor, cpu_shares, free_addresses, rank_tasks
from bench.run.launch import launch_of
from bench.spec.job import Job
from bench.spec.models import build
from bench.spec.training import Sgd
from bench.worker.protocol import EpochEnded, Failed, Finished, PhaseEnded, TrainTask

pytestmark = pytest.mark.process
HERE = "127.0.0.1"
SECONDS = 60


class OtherNode(NodeWorkers):
    """A node that records its tasks."""

    def __init__(self, name, recipe):
        super().__init__(name, HERE, {"fake": recipe}, [0])
        self.tasks = []

    def run(self, task, launch, timeout):
        self.tasks.append(task)
        return super().run(task, launch, timeout)


@pytest.fixture
def recipe(plugin, tmp_path):
    """The fake backend, whose workers have the folder of this test in their environment."""
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


def in_mode(task, mode):
    return msgspec.structs.replace(task, job=msgspec.structs.replace(task.job, mode=mode))


def run(task, recipe, *others, act=lambda event: None):
    """Run a task on this node and the others; return its events and its end."""
    events = []

    def on_event(event):
        events.append(event)
        act(event)

    return events, NodeGroupExecutor(HERE, others).run(task, launch_of(recipe), SECONDS, on_event)


def failure(events):
    (failed,) = [event for event in events if isinstance(event, Failed)]
    return failed


def test_every_node_runs_the_task_and_the_first_one_is_recorded(task, recipe, tmp_path):
    others = [OtherNode(f"node-{n}", recipe) for n in (1, 2)]
    events, end = run(task, recipe, *others)
    assert end.exit_status == 0, end.log
    assert [type(event) for event in events].count(EpochEnded) == 2
    assert sum(isinstance(event, Finished) for event in events) == 1
    groups = [node.tasks[0].group for node in others]
    assert [group.rank for group in groups] == [1, 2]
    assert groups[0].addresses == groups[1].addresses
    assert len(set(groups[0].addresses)) == 3
    assert none_left(tmp_path)


def test_every_process_of_every_node_has_its_own_rank(task, recipe):
    other = OtherNode("node-1", recipe)
    wide = msgspec.structs.replace(task, hosts=2, processes=2, cpus=(0, 1))
    events, end = run(wide, recipe, other)
    assert end.exit_status == 0, end.log
    assert any(isinstance(event, Finished) for event in events)
    (received,) = other.tasks
    ranks = [(each.group.rank, each.group.local_rank) for each in rank_tasks(received)]
    assert ranks == [(2, 0), (3, 1)]
    assert received.group.size == 4


def test_the_processes_of_a_machine_share_its_cpus():
    assert cpu_shares((4, 5, 6, 7), 2) == [(4, 5), (6, 7)]
    assert cpu_shares((4,), 2) == [(4,), (4,)]
    assert cpu_shares((), 2) == [(), ()]


def test_a_task_of_one_host_needs_no_other_node(task, recipe):
    other = OtherNode("node-1", recipe)
    events, end = run(msgspec.structs.replace(task, hosts=1), recipe, other)
    assert end.exit_status == 0
    assert any(isinstance(event, Finished) for event in events)
    assert other.tasks == []


def test_a_node_without_an_interpreter_is_named(task, recipe):
    broken = msgspec.structs.replace(recipe, interpreter="/nowhere/python")
    others = OtherNode("sound", recipe), OtherNode("broken", broken)
    events, end = run(in_mode(task, "hangs"), recipe, *others)
    assert not end.timed_out
    failed = failure(events)
    assert failed.outcome == "failed"
    assert failed.reason.startswith("host 2 of 3 (broken): the worker could not be started")


def test_a_framework_without_shared_training_is_unsupported(task, recipe):
    numpy = msgspec.structs.replace(task, adapter="backends.numpy.backend:NumpyBackend", hosts=2)
    events, _ = run(numpy, recipe, OtherNode("node-1", recipe))
    failed = failure(events)
    assert failed.outcome == "unsupported"
    assert failed.reason == "NumPy does not support training over several processes"


def test_a_worker_that_fails_is_reported_once_for_all_nodes(task, recipe):
    others = [OtherNode(f"node-{n}", recipe) for n in (1, 2)]
    events, _ = run(in_mode(task, "raises"), recipe, *others)
    assert failure(events) == Failed("failed", "RuntimeError: the fake framework gives up")


def test_a_worker_that_is_killed_on_another_node_is_named(task, recipe, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    marked = msgspec.structs.replace(recipe, environment={"MARKER": str(elsewhere)})

    def kill_others(event):
        if isinstance(event, PhaseEnded) and event.phase == "compile":
            for line in started_here(elsewhere):
                os.kill(int(line.split(" ", 1)[0]), signal.SIGKILL)

    class Elsewhere(OtherNode):
        def run(self, task, launch, timeout):
            own = launch._replace(variables=marked.environment)
            return super().run(task, own, timeout)

    others = Elsewhere("node-1", recipe), Elsewhere("node-2", recipe)
    events, end = run(in_mode(task, "hangs"), recipe, *others, act=kill_others)
    assert not end.timed_out
    failed = failure(events)
    assert failed.outcome == "crashed"
    assert "host 1 of 3 (node-1): the worker ended" in failed.reason
    assert "killed by SIGKILL" in failed.reason
    assert none_left(tmp_path)


def test_a_stopped_executor_leaves_no_worker_running(task, recipe, tmp_path):
    executor = LocalExecutor()
    executor.stop()
    alone = msgspec.structs.replace(in_mode(task, "hangs"), hosts=1)
    end = executor.run(alone, launch_of(recipe), SECONDS, lambda event: None)
    assert end.exit_status == -signal.SIGKILL
    assert none_left(tmp_path)


def test_free_addresses_are_distinct_and_usable():
    found = free_addresses(HERE, 3)
    assert len(set(found)) == 3
    for address in found:
        name, _, port = address.rpartition(":")
        with socket.create_server((name, int(port))):
            assert name == HERE
