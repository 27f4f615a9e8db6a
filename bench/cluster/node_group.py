"""Tasks that several nodes run together: each node runs its own worker processes of the task.

Imports no cluster library: the other nodes are whatever can be called on another machine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from backends.api import Recipe
from bench.cache import cache_folder
from bench.machine.other_runs import presence
from bench.run.executor import MORE_SECONDS, LocalExecutor, LocalMember, free_addresses
from bench.run.launch import Launch
from bench.run.worker_group import run_group
from bench.run.worker_process import WorkerEnd
from bench.spec.process_group import ProcessGroup
from bench.worker.protocol import Event, Task


class NodeResult(msgspec.Struct, frozen=True):
    """What the workers of another node reported, and how they ended."""

    events: list[Event]
    end: WorkerEnd


class OtherNode(Protocol):
    """Another node, as the agent of the first node calls it."""

    @property
    def name(self) -> str:
        """The node's name, for messages."""

    def prepare(self, processes: int) -> list[str]:
        """Get ready for a task; return a free `host:port` for each process."""

    def run(self, task: Task, launch: Launch, timeout: float) -> NodeResult:
        """Run the node's workers of the task to their end."""

    def stop(self) -> None:
        """Kill the workers that run."""


class NodeWorkers:
    """This node's part in the tasks that it runs together with other nodes."""

    def __init__(
        self, name: str, address: str, recipes: Mapping[str, Recipe], cpus: Sequence[int]
    ) -> None:
        """Take part with this node's recipes by backend, and the CPUs that workers may use.

        The other nodes reach this one at `address`.
        """
        self.name = name
        self._address = address
        self._recipes = recipes
        self._cpus = tuple(cpus)
        self._executor = LocalExecutor()

    def prepare(self, processes: int) -> list[str]:
        """See `OtherNode.prepare`."""
        self._executor = LocalExecutor()
        return free_addresses(self._address, processes)

    def run(self, task: Task, launch: Launch, timeout: float) -> NodeResult:
        """See `OtherNode.run`; the interpreter and the CPUs are this node's."""
        own = launch._replace(interpreter=self._recipes[launch.backend].interpreter)
        here = msgspec.structs.replace(task, cpus=self._cpus[: len(task.cpus)])
        events: list[Event] = []
        with presence(cache_folder()):
            end = self._executor.run(here, own, timeout, events.append)
        return NodeResult(events, end)

    def stop(self) -> None:
        """See `OtherNode.stop`."""
        self._executor.stop()


class NodeGroupExecutor:
    """Runs each task on this node, and tasks of several hosts on the other nodes too."""

    def __init__(self, address: str, others: Sequence[OtherNode]) -> None:
        """Take the address at which the other nodes reach this one, and these nodes."""
        self._address = address
        self._others = others

    def run(
        self,
        task: Task,
        launch: Launch,
        timeout: float,
        on_event: Callable[[Event], None],
    ) -> WorkerEnd:
        """See `bench.run.executor.Executor.run`."""
        if task.hosts == 1:
            return LocalExecutor().run(task, launch, timeout, on_event)
        others = self._others[: task.hosts - 1]
        addresses = free_addresses(self._address, task.processes)
        for node in others:
            addresses += node.prepare(task.processes)
        own, *tasks = _host_tasks(task, tuple(addresses))
        first = LocalMember("host 0", LocalExecutor(), own, launch, timeout)
        rest = [
            _OtherMember(f"host {host} of {task.hosts} ({node.name})", node, each, launch, timeout)
            for host, (node, each) in enumerate(zip(others, tasks, strict=True), start=1)
        ]
        return run_group([first, *rest], timeout, on_event)


def _host_tasks(task: Task, addresses: tuple[str, ...]) -> list[Task]:
    """Return the task of each host, with the rank of its first process."""
    here = task.processes
    return [
        msgspec.structs.replace(task, group=ProcessGroup(host * here, 0, here, addresses))
        for host in range(task.hosts)
    ]


class _OtherMember(NamedTuple):
    """The part of another node; see `bench.run.worker_group.Member`."""

    name: str
    node: OtherNode
    task: Task
    launch: Launch
    timeout: float

    def run(self, on_event: Callable[[Event], None]) -> WorkerEnd:
        """Run the task to its end; its events come at the end."""
        result = self.node.run(self.task, self.launch, self.timeout + MORE_SECONDS)
        for event in result.events:
            on_event(event)
        return result.end

    def stop(self) -> None:
        """Kill its workers."""
        self.node.stop()
