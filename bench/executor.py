"""Where a task's worker runs. `LocalExecutor` starts it as a process of this machine.

A worker cannot hurt its runner: it has a process group of its own, its events come through a
pipe that nothing else writes to, what it prints is read and only the end kept, and when it is
over the whole group is killed.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Protocol

import msgspec

from bench.environment import worker_environment
from bench.worker.protocol import Event, Task, decode_event, encode

LOG_TAIL = 16_384  # bytes of a worker's output that are kept
_GRACE_SECONDS = 2.0  # for a stack dump on a time-out, and for the pipes to drain at the end


class WorkerEnd(msgspec.Struct, frozen=True):
    """How a worker ended.

    Attributes:
        exit_status: the process's; negative is the number of the signal that killed it.
        timed_out: whether the runner killed it for its time limit.
        log: the end of what it printed.
        environment: the variables that it started with.
    """

    exit_status: int
    timed_out: bool
    log: str
    environment: dict[str, str]


class Executor(Protocol):
    """Runs one task at a time, somewhere."""

    def run(
        self,
        task: Task,
        variables: Mapping[str, str],
        timeout: float,
        on_event: Callable[[Event], None],
    ) -> WorkerEnd:
        """Run the task to its end and hand on each event as it comes.

        Args:
            task: what the worker does.
            variables: environment variables of the backend's own.
            timeout: seconds after which the worker is killed.
            on_event: called with each event, in the caller's thread.
        """
        ...


class LocalExecutor:
    """Runs each task in a fresh process of this machine, with this interpreter."""

    def run(
        self,
        task: Task,
        variables: Mapping[str, str],
        timeout: float,
        on_event: Callable[[Event], None],
    ) -> WorkerEnd:
        """See `Executor.run`. A KeyboardInterrupt kills the worker and goes on upwards."""
        with tempfile.TemporaryDirectory(
            prefix="evenbench-", ignore_cleanup_errors=True
        ) as scratch:
            environment = worker_environment(variables, task.threads, Path(scratch))
            worker = _Worker(environment)
            try:
                worker.send(task)
                timed_out = worker.follow(time.monotonic() + timeout, on_event)
            finally:
                worker.kill()
            return WorkerEnd(worker.exit_status(), timed_out, worker.log(), environment)


class _Worker:
    """One worker process, with a thread each to read its events, its output and its end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", str(writing)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                pass_fds=(writing,),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self._inbox: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._tail = bytearray()
        self._events = _thread(self._read_events, os.fdopen(reading, "rb"))
        self._output = _thread(self._read_output, self._process.stdout)
        _thread(self._await_end)

    def send(self, task: Task) -> None:
        """Give the worker its task; one that is already dead shows by its end."""
        stdin = self._process.stdin
        if stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            stdin.write(encode(task))
            stdin.close()

    def follow(self, deadline: float, on_event: Callable[[Event], None]) -> bool:
        """Hand on events until the process ends; True when the deadline came first."""
        while True:
            try:
                event = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self._dump_stacks()
                return True
            if event is None:
                self._drain(on_event)
                return False
            on_event(event)

    def kill(self) -> None:
        """Kill the worker and all processes that it started in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.join(_GRACE_SECONDS)

    def exit_status(self) -> int:
        """The process's exit status, negative for a signal."""
        return self._process.wait()

    def log(self) -> str:
        """The end of what the process printed."""
        return bytes(self._tail).decode("utf-8", errors="replace")

    def _drain(self, on_event: Callable[[Event], None]) -> None:
        """Hand on what the process wrote just before its end."""
        self._events.join(_GRACE_SECONDS)
        while not self._inbox.empty():
            event = self._inbox.get()
            if event is not None:
                on_event(event)

    def _dump_stacks(self) -> None:
        """Have faulthandler print where each Python thread hangs."""
        self._process.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)

    def _await_end(self) -> None:
        self._process.wait()
        self._inbox.put(None)

    def _read_events(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                try:
                    self._inbox.put(decode_event(line))
                except msgspec.MsgspecError:
                    # A line cut off by the worker's death: its end says what happened.
                    continue

    def _read_output(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := pipe.read1(65_536):  # type: ignore[attr-defined]
                self._tail += chunk
                del self._tail[:-LOG_TAIL]


def _thread(target: Callable[..., None], *arguments: object) -> threading.Thread:
    """Start a thread that does not keep the interpreter from ending."""
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread
