"""Where a task runs. `LocalExecutor` runs it in worker processes of this machine."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from bench.run.interrupts import Interrupts
from bench.run.launch import Launch
from bench.run.worker_group import run_group
from bench.run.worker_process import (
    NoWorkerError,
    Worker,
    WorkerEnd,
    event_pipe,
    scratch_folder,
    worker_variables,
)
from bench.spec.process_group import ProcessGroup
from bench.worker.protocol import Command, Event, Task

LOOPBACK = "127.0.0.1"
# So that of processes that all hang, the first one is reported.
MORE_SECONDS = 10.0


class Executor(Protocol):
    """Runs one task at a time."""

    def run(
        self,
        task: Task,
        launch: Launch,
        timeout: float,
        on_event: Callable[[Event], None],
    ) -> WorkerEnd:
        """Run the task to its end and pass on each event as it comes.

        Args:
            task: of the worker.
            launch: interpreter and variables that it starts with.
            timeout: seconds after which it is killed.
            on_event: called with each event as it arrives, in the caller's thread.
        """
        ...


class LocalExecutor:
    """Runs each task in a new process of this machine, or in several where it has several."""

    def __init__(self, interrupts: Interrupts | None = None) -> None:
        """Create an executor.

        Args:
            interrupts: decides when a signal may interrupt the wait for a worker.
        """
        self._interrupts = interrupts
        self._waiting = interrupts.waiting if interrupts else contextlib.nullcontext
        self._worker: Worker | None = None
        self._members: list[LocalMember] = []
        self._is_stopped = False

    def run(
        self,
        task: Task,
        launch: Launch,
        timeout: float,
        on_event: Callable[[Event], None],
    ) -> WorkerEnd:
        """See `Executor.run`. A KeyboardInterrupt kills the worker and propagates."""
        if task.processes > 1:
            self._members = self._ranks(task, launch, timeout)
            return run_group(self._members, timeout, on_event)
        try:
            with scratch_folder() as scratch:
                environment = worker_variables(launch, task, scratch)
                with event_pipe() as (reading, writing):
                    # Started here, not in a helper, so that few frames lie above a worker's start.
                    process = subprocess.Popen(
                        [launch.python, "-m", "bench.worker", str(writing)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        env=environment,
                        pass_fds=(writing,),
                        start_new_session=True,
                    )
                worker = self._worker = Worker(process, reading)
                try:
                    worker.send(task)
                    if self._is_stopped:
                        worker.give_up()
                    with self._waiting():
                        timed_out = worker.follow(time.monotonic() + timeout, on_event)
                finally:
                    worker.kill(scratch)
                return WorkerEnd(worker.exit_status(), timed_out, worker.log(), environment)
        except NoWorkerError as error:
            return WorkerEnd(None, False, "", {}, str(error))

    def open(self, task: Task, launch: Launch, timeout: float) -> "LiveWorker":
        """Start a worker in rounds; see `LiveWorker`.

        Args:
            task: of the worker.
            launch: interpreter and variables that it starts with.
            timeout: seconds that it may run, without its pauses.

        Raises:
            NoWorkerError: the system cannot start it.
        """
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(scratch_folder())
            environment = worker_variables(launch, task, scratch)
            with event_pipe() as (reading, writing):
                process = subprocess.Popen(
                    [launch.python, "-m", "bench.worker", str(writing)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    pass_fds=(writing,),
                    start_new_session=True,
                )
            worker = Worker(process, reading)
            stack.callback(worker.kill, scratch)
            worker.send(task)
            return LiveWorker(worker, environment, timeout, self._waiting, stack.pop_all())

    def stop(self) -> None:
        """Kill the workers, from another thread than the one that runs them, for good."""
        self._is_stopped = True
        for member in self._members:
            member.stop()
        if self._worker is not None:
            self._worker.give_up()

    def _ranks(self, task: Task, launch: Launch, timeout: float) -> list["LocalMember"]:
        """Return each process of the task; signals interrupt the wait for the first one."""
        first, *others = rank_tasks(task)
        longer = timeout + MORE_SECONDS
        return [
            LocalMember(_name(first), LocalExecutor(self._interrupts), first, launch, timeout),
            *(LocalMember(_name(each), LocalExecutor(), each, launch, longer) for each in others),
        ]


class LiveWorker:
    """A worker that takes turns with others. It is paused except while it follows a command."""

    def __init__(
        self,
        worker: Worker,
        environment: dict[str, str],
        timeout: float,
        waiting: Callable[[], contextlib.AbstractContextManager[None]],
        resources: contextlib.ExitStack,
    ) -> None:
        """Take over a worker that has received its task.

        Args:
            worker: the process.
            environment: variables that it started with.
            timeout: seconds that it may run, without its pauses.
            waiting: context in which a signal may interrupt.
            resources: kills the worker and frees its folder.
        """
        self._worker = worker
        self._environment = environment
        self._seconds_left = timeout
        self._waiting = waiting
        self._resources = resources
        self._timed_out = False

    def follow(self, on_event: Callable[[Event], None]) -> bool:
        """Pass on events until the worker waits or ends; return whether it waits.

        Raises:
            KeyboardInterrupt: the user interrupted the run.
        """
        began = time.monotonic()
        with self._waiting():
            self._timed_out = self._worker.follow(began + self._seconds_left, on_event)
        self._seconds_left -= time.monotonic() - began
        if self._worker.is_waiting:
            self._worker.pause()
        return self._worker.is_waiting

    def command(self, command: Command, on_event: Callable[[Event], None]) -> bool:
        """Send a command to a waiting worker; see `follow`."""
        self._worker.command(command)
        return self.follow(on_event)

    def close(self) -> WorkerEnd:
        """Kill what is left of the worker, and return how it ended."""
        self._resources.close()
        worker = self._worker
        return WorkerEnd(worker.exit_status(), self._timed_out, worker.log(), self._environment)


class LocalMember(NamedTuple):
    """The part of this machine, or one process of it; see `bench.run.worker_group.Member`."""

    name: str
    executor: LocalExecutor
    task: Task
    launch: Launch
    timeout: float

    def run(self, on_event: Callable[[Event], None]) -> WorkerEnd:
        """Run the task to its end."""
        return self.executor.run(self.task, self.launch, self.timeout, on_event)

    def stop(self) -> None:
        """Kill its workers."""
        self.executor.stop()


def _name(task: Task) -> str:
    """The rank, for messages."""
    return f"rank {task.group.rank} of {task.group.size}" if task.group else "rank 0"


def rank_tasks(task: Task) -> list[Task]:
    """Return the task of each process on this machine, with its rank and its part of the CPUs."""
    number = task.processes
    group = task.group or ProcessGroup(0, 0, number, tuple(free_addresses(LOOPBACK, number)))
    return [
        msgspec.structs.replace(
            task,
            processes=1,
            cpus=cpus,
            group=msgspec.structs.replace(group, rank=group.rank + index, local_rank=index),
        )
        for index, cpus in enumerate(cpu_shares(task.cpus, number))
    ]


def cpu_shares(cpus: Sequence[int], number: int) -> list[tuple[int, ...]]:
    """Return equal parts of the CPUs; where there are too few, each part has all of them."""
    size = len(cpus) // number
    if size == 0:
        return [tuple(cpus)] * number
    return [tuple(cpus[rank * size : (rank + 1) * size]) for rank in range(number)]


def free_addresses(address: str, number: int) -> list[str]:
    """Return `address:port` for so many different ports that nothing uses now."""
    with contextlib.ExitStack() as servers:
        ports = [
            servers.enter_context(socket.create_server((address, 0))).getsockname()[1]
            for _ in range(number)
        ]
    return [f"{address}:{port}" for port in ports]
