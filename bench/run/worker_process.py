"""One worker process: how it is started, followed and ended.

A worker cannot damage its runner. It has its own process group, it writes events into a pipe that
nothing else writes to, and only the end of its output is kept. When it is over the whole group is
killed, and every process that was started from it.
"""

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from bench.run.launch import Launch, prepared_variables
from bench.run.strays import kill_strays, where_threads_are
from bench.worker.protocol import CheckBegan, Command, Event, Ready, Task, decode_event, encode

LOG_TAIL = 16_384  # bytes of a worker's output that are stored
_GRACE_SECONDS = 2.0  # for a stack dump on a time-out, and for the pipes to drain at the end
_LONGEST_EVENT = 2**24  # bytes; no event is longer


class WorkerEnd(msgspec.Struct, frozen=True):
    """How a worker ended.

    Attributes:
        exit_status: of the process; negative is the number of the signal that killed it, None is
            no process.
        timed_out: whether the runner killed it at its time limit.
        log: end of what it printed.
        environment: variables that it started with.
        start_error: why the system could not start it.
    """

    exit_status: int | None
    timed_out: bool
    log: str
    environment: dict[str, str]
    start_error: str = ""


class NoWorkerError(Exception):
    """The system cannot start a worker."""


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Create a folder for the worker's temporary files, which is removed at the end.

    Raises:
        NoWorkerError: there is no room for it.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="evenbench-", ignore_cleanup_errors=True)
    except OSError as error:
        raise NoWorkerError(f"no folder for temporary files: {error.strerror}") from error
    with folder as path:
        yield Path(path)


@contextlib.contextmanager
def event_pipe() -> Iterator[tuple[int, int]]:
    """Open a pipe whose writing end the worker inherits; the caller keeps the reading end.

    Raises:
        NoWorkerError: there is no pipe, or the process in this context could not be started.
    """
    try:
        reading, writing = os.pipe()
    except OSError as error:
        raise NoWorkerError(f"no pipe for its events: {error.strerror}") from error
    try:
        yield reading, writing
    except OSError as error:
        os.close(reading)
        raise NoWorkerError(f"no process: {error.strerror}") from error
    finally:
        os.close(writing)


def worker_variables(launch: Launch, task: Task, scratch: Path) -> dict[str, str]:
    """Return the environment variables of a worker; see `bench.run.launch.prepared_variables`.

    Raises:
        NoWorkerError: the scratch folder cannot be written to.
    """
    try:
        return prepared_variables(launch, task.adapter, task.threads, scratch)
    except OSError as error:
        raise NoWorkerError(f"no links to the suite's code: {error.strerror}") from error


class Worker:
    """One worker process, with one thread each for its events, its output and its end.

    Attributes:
        is_waiting: whether it waits for a command.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", events: int) -> None:
        """Start the threads that read from the process.

        Args:
            process: the worker.
            events: the descriptor from which its events are read.
        """
        self.is_waiting = False
        self._inbox: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._tail = bytearray()
        self._places = ""
        self._process = process
        self._events = _thread(self._read_events, os.fdopen(events, "rb"))
        self._output = _thread(self._read_output, self._process.stdout)
        _thread(self._await_end)

    def send(self, task: Task) -> None:
        """Send the worker its task, in a thread, because a worker that hangs does not read it."""
        _thread(self._write, encode(task), self._process.stdin)

    def command(self, command: Command) -> None:
        """Continue the worker, which is paused and waits, and send it a command."""
        self._signal(signal.SIGCONT)
        _thread(self._write, encode(command), self._process.stdin)

    def pause(self) -> None:
        """Stop the worker and its children: their threads may otherwise spin while they wait."""
        self._signal(signal.SIGSTOP)

    def follow(self, deadline: float, on_event: Callable[[Event], None]) -> bool:
        """Pass on events until the process ends; return True if the deadline came first.

        For a worker in rounds it also returns when the worker waits; `is_waiting` is then true.
        A check that has its own time limit moves the deadline.
        """
        self.is_waiting = False
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
            if isinstance(event, CheckBegan) and event.limit_seconds is not None:
                deadline = time.monotonic() + event.limit_seconds
            elif isinstance(event, Ready):
                self.is_waiting = True
                return False

    def give_up(self) -> None:
        """Make `follow` return, as if the process had ended."""
        self._inbox.put(None)

    def kill(self, scratch: Path) -> None:
        """Kill the worker and everything that it started, in its process group or outside."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # what it did not read
                self._process.stdin.close()
        kill_strays(scratch)
        self._output.join(_GRACE_SECONDS)

    def exit_status(self) -> int:
        """Return the exit status of the process, negative for a signal."""
        return self._process.wait()

    def log(self) -> str:
        """Return the end of what the process printed, and where its threads were if it hung."""
        return bytes(self._tail).decode("utf-8", errors="replace") + self._places

    def _drain(self, on_event: Callable[[Event], None]) -> None:
        """Pass on the events that the process wrote just before its end."""
        self._events.join(_GRACE_SECONDS)
        while not self._inbox.empty():
            event = self._inbox.get()
            if event is not None:
                on_event(event)

    def _dump_stacks(self) -> None:
        """Store where each thread is, and make faulthandler print the Python stacks."""
        self._process.send_signal(signal.SIGSTOP)
        self._places = f"\n{places}" if (places := where_threads_are(self._process.pid)) else ""
        # In this order: the kernel delivers a signal to the main thread only if that one runs.
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker's process group, if it still exists."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _write(self, text: bytes, pipe: IO[bytes]) -> None:
        with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed by its end
            pipe.write(text)
            pipe.flush()

    def _await_end(self) -> None:
        self._process.wait()
        self._inbox.put(None)

    def _read_events(self, pipe: IO[bytes]) -> None:
        with pipe:
            while line := pipe.readline(_LONGEST_EVENT):
                try:
                    self._inbox.put(decode_event(line))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    # The line is incomplete because the worker died, which its end reports.
                    continue

    def _read_output(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := pipe.read1(65_536):  # type: ignore[attr-defined]
                self._tail += chunk
                del self._tail[:-LOG_TAIL]


def _thread(target: Callable[..., None], *arguments: object) -> threading.Thread:
    """Start a thread that does not prevent the interpreter from ending."""
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread
