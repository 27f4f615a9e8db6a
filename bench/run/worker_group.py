"""Worker processes that run one task together, as the ranks of a data-parallel training.

Every member runs the whole task by itself; their frameworks exchange the tensors. The events of the
first member, which has rank 0, are those of the task. The other members stay until it has ended,
since it may still receive from them, and are stopped then. One that fails before stops all members,
and the reason names it.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from bench.run.outcome import Verdict, verdict_of
from bench.run.worker_process import WorkerEnd
from bench.worker.protocol import Event, Failed, Finished

# When one process fails, the exchange of the others breaks off, and they report that.
_SECONDS_TO_REPORT = 5.0
_GOOD = ("ok", "diverged")  # all ranks see the same losses, so rank 0 reports a divergence
# The most specific first: of a process that dies, the others only see that a connection broke off.
_OUTCOMES = ("unsupported", "out_of_memory", "unavailable", "crashed", "timeout", "failed")


class Member(Protocol):
    """A part of the group: one process, or all processes of a machine."""

    @property
    def name(self) -> str:
        """The name in messages, `rank 1 of 2`."""

    def run(self, on_event: Callable[[Event], None]) -> WorkerEnd:
        """Run the task to its end and pass on each event."""

    def stop(self) -> None:
        """End the task, from another thread than the one that runs it."""


def run_group(
    members: Sequence[Member], timeout: float, on_event: Callable[[Event], None]
) -> WorkerEnd:
    """Run all members at once, the first one in the caller's thread.

    Args:
        members: by rank.
        timeout: seconds that the task may take, for messages.
        on_event: called with the first member's events, and with one `Failed` if any member failed.

    Returns:
        How the first member ended, with the output of all if it did not end well.

    Raises:
        Exception: a member could not be run. The others are stopped.
    """
    first = _First(members[0], on_event)
    others = [_Other(member, timeout, first) for member in members[1:]]
    end = None
    try:
        end = first.run()
    finally:
        is_over = end is None or end.timed_out or first.is_finished
        for other in others:
            other.finish(0.0 if is_over else _SECONDS_TO_REPORT)
    for other in others:
        if other.error is not None:
            raise other.error
    failure = _failure(first, [other for other in others if other.is_failed], end, timeout)
    if failure is not None:
        on_event(failure)
    return msgspec.structs.replace(end, log=_joined_logs(end, others))


class _First:
    """The first member. Its own failure is withheld until the others have reported theirs."""

    def __init__(self, member: Member, on_event: Callable[[Event], None]) -> None:
        self.events: list[Event] = []
        self.failure: Failed | None = None
        self.is_finished = False
        self.is_stopped = False
        self.is_over = threading.Event()
        self._member = member
        self._on_event = on_event

    def run(self) -> WorkerEnd:
        """Run it to its end."""
        try:
            return self._member.run(self._take)
        finally:
            self.is_over.set()

    def stop_soon(self) -> None:
        """Stop it, unless it ends by itself in a few seconds."""
        if not self.is_over.wait(_SECONDS_TO_REPORT):
            self.is_stopped = True
            self._member.stop()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Finished) or (isinstance(event, Failed) and event.outcome in _GOOD):
            self.is_finished = True
        if isinstance(event, Failed):
            self.failure = event
        else:
            self._on_event(event)


class _Other:
    """Another member, in its own thread."""

    def __init__(self, member: Member, timeout: float, first: _First) -> None:
        """Start it."""
        self.name = member.name
        self.verdict = Verdict("ok")
        self.log = ""
        self.error: Exception | None = None
        self._member = member
        self._timeout = timeout
        self._first = first
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_failed(self) -> bool:
        """Whether it failed by itself, and not because it was stopped."""
        is_killed = self._is_stopped and self.verdict.outcome == "crashed"
        return self.verdict.outcome not in _GOOD and not is_killed

    def finish(self, seconds: float) -> None:
        """Wait for its end, now that the first one has ended; after so many seconds stop it."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._is_stopped = True
            self._member.stop()
            self._thread.join()

    def _run(self) -> None:
        events: list[Event] = []
        try:
            end = self._member.run(events.append)
            self.verdict, self.log = verdict_of(events, end, self._timeout), end.log
        except Exception as error:  # the caller of the group raises it
            self.error = error
        if self.error or self.is_failed:
            self._first.stop_soon()


def _failure(
    first: _First, failed: Sequence[_Other], end: WorkerEnd, timeout: float
) -> Failed | None:
    """Return what to report as the failure of the task, if it failed for a reason to report."""
    if first.is_finished or end.timed_out or not failed:
        return first.failure
    verdicts = {f"{other.name}: ": other.verdict for other in failed}
    if not first.is_stopped:
        verdicts = {"": verdict_of(first.events, end, timeout), **verdicts}
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    if outcomes[0] == "crashed" and set(outcomes[1:]) == {"failed"} and not first.is_stopped:
        return None  # the others saw the first one's end, which its exit status tells better
    reasons: dict[str | None, str] = {}
    for name, verdict in verdicts.items():  # one reason that all have is reported once
        reasons.setdefault(verdict.reason, f"{name}{verdict.reason}")
    return Failed(min(outcomes, key=_OUTCOMES.index), "; ".join(reasons.values()))


def _joined_logs(end: WorkerEnd, others: Sequence[_Other]) -> str:
    if end.exit_status == 0:
        return end.log
    logs = [f"--- {other.name}:\n{other.log}" for other in others if other.log]
    return "\n".join([end.log, *logs])
