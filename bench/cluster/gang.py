"""A task that several machines share: this one's worker leads, a worker of each other one follows.

Imports no cluster's library: helpers are whatever can be called on the other machines.
"""

import secrets
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from backends.api import Recipe
from bench.cache import cache_folder
from bench.machine.other_runs import presence
from bench.run.executor import Executor, LocalExecutor, WorkerEnd
from bench.run.launch import Launch
from bench.worker.hosts import decline
from bench.worker.protocol import Event, Failed, FollowTask, Seat, Task

# A follower ends by itself once the worker that leads it is gone, if it was there at all.
_SECONDS_TO_END = 5.0


class Followed(msgspec.Struct, frozen=True):
    """How a worker that followed ended.

    Attributes:
        failure: what it said was wrong; None where it said nothing.
        log: the end of what it printed.
    """

    failure: Failed | None
    log: str


class Helper(Protocol):
    """Another machine whose worker can follow."""

    @property
    def name(self) -> str:
        """The machine's."""

    def reserve(self) -> str:
        """A `host:port` of the machine that is free now."""

    def begin(self, task: FollowTask, launch: Launch, timeout: float) -> None:
        """Start a worker, and return while it runs."""

    def end(self) -> Followed:
        """Wait for its end, now that the worker that leads has ended."""


class Follower:
    """This machine as a helper of another one: its worker runs in a thread."""

    def __init__(
        self,
        name: str,
        address: str,
        executor: LocalExecutor,
        recipes: Mapping[str, Recipe],
        cpus: Sequence[int],
    ) -> None:
        """Be ready.

        Args:
            name: of the machine.
            address: at which the other machines reach it.
            executor: runs the workers.
            recipes: this machine's, by backend.
            cpus: that workers may be bound to.
        """
        self.name = name
        self._address = address
        self._executor = executor
        self._recipes = recipes
        self._cpus = tuple(cpus)
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()
        self._ended = Followed(None, "")

    def reserve(self) -> str:
        """See `Helper.reserve`."""
        return free_address(self._address)

    def begin(self, task: FollowTask, launch: Launch, timeout: float) -> None:
        """See `Helper.begin`; the interpreter is this machine's own."""
        self._is_over.clear()
        recipe = self._recipes[launch.backend]
        own = launch._replace(interpreter=recipe.interpreter)
        here = msgspec.structs.replace(task, cpus=self._cpus[: len(task.cpus)])
        self._thread = threading.Thread(target=self._run, args=(here, own, timeout), daemon=True)
        self._thread.start()

    def end(self) -> Followed:
        """See `Helper.end`."""
        if self._thread is None:
            raise RuntimeError("a worker is begun before its end is waited for")
        self._is_over.set()
        self._thread.join(_SECONDS_TO_END)
        if self._thread.is_alive():
            self._executor.stop()
            self._thread.join()
        return self._ended

    def _run(self, task: FollowTask, launch: Launch, timeout: float) -> None:
        said: list[Event] = []
        try:
            with presence(cache_folder()):
                end = self._executor.run(task, launch, timeout, said.append)
            failure = next((each for each in said if isinstance(each, Failed)), _silent(end))
            self._ended = Followed(failure, end.log)
        except Exception as error:  # in a thread it would be lost
            self._ended = Followed(Failed("failed", f"{type(error).__name__}: {error}"), "")
        if self._ended.failure and task.seat:
            decline(task.seat, self._ended.failure.reason, self._is_over.is_set)


def _silent(end: WorkerEnd) -> Failed | None:
    """What is wrong with a worker that said nothing."""
    if end.exit_status == 0:
        return None
    if end.exit_status is None:
        return Failed("failed", f"the worker could not be started: {end.start_error}")
    lines = end.log.strip().splitlines()[-1:]
    return Failed("crashed", " ".join([f"ended with exit status {end.exit_status}", *lines]))


class GangExecutor:
    """Runs each task here, and where it has several hosts, on helpers too."""

    def __init__(self, own: Executor, address: str, helpers: Sequence[Helper]) -> None:
        """See the class.

        Args:
            own: runs this machine's workers.
            address: at which the helpers reach this machine.
            helpers: the other machines.
        """
        self._own = own
        self._address = address
        self._helpers = helpers

    def run(
        self,
        task: Task,
        launch: Launch,
        timeout: float,
        on_event: Callable[[Event], None],
    ) -> WorkerEnd:
        """See `Executor.run`; a failure says what the helpers' workers said of theirs."""
        if task.hosts == 1:
            return self._own.run(task, launch, timeout, on_event)
        helpers = self._helpers[: task.hosts - 1]
        addresses = free_address(self._address), *(helper.reserve() for helper in helpers)
        seat = Seat(0, addresses, free_address(self._address), secrets.token_hex(32))
        failures: list[Failed] = []

        def on_own_event(event: Event) -> None:
            if isinstance(event, Failed):
                failures.append(event)
            else:
                on_event(event)

        for host, helper in enumerate(helpers, start=1):
            helper.begin(_following(task, seat, host), launch, timeout)
        try:
            own = msgspec.structs.replace(task, seat=seat)
            end = self._own.run(own, launch, timeout, on_own_event)
        finally:
            ends = [helper.end() for helper in helpers]
        failed = [(helper.name, each) for helper, each in zip(helpers, ends, strict=True)]
        if failures:
            on_event(_explained(failures[-1], failed))
        return msgspec.structs.replace(end, log=_joined_logs(end, failed))


def free_address(address: str) -> str:
    """`address:port` that nothing uses now."""
    with socket.create_server((address, 0)) as server:
        return f"{address}:{server.getsockname()[1]}"


def _following(task: Task, seat: Seat, host: int) -> FollowTask:
    return FollowTask(
        adapter=task.adapter,
        threads=task.threads,
        cpus=task.cpus,
        hosts=task.hosts,
        seat=msgspec.structs.replace(seat, host=host),
    )


def _explained(failed: Failed, ends: Sequence[tuple[str, Followed]]) -> Failed:
    """The failure, with what went wrong on the other machines."""
    words = [f"on {name}: {end.failure.reason}" for name, end in ends if end.failure]
    return Failed(failed.outcome, "; ".join([failed.reason, *words]))


def _joined_logs(end: WorkerEnd, ends: Sequence[tuple[str, Followed]]) -> str:
    if end.exit_status == 0:
        return end.log
    return "\n".join([end.log, *(f"--- {name}:\n{each.log}" for name, each in ends if each.log)])
