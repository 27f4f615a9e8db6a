"""Workers that run one task together; scripted members replace the processes."""

import threading

import pytest

from bench.run import worker_group
from bench.run.worker_group import run_group
from bench.run.worker_process import WorkerEnd
from bench.worker.protocol import Failed, Finished, PhaseBegan

FINISHED = Finished(None, None)
WELL = WorkerEnd(0, False, "all well", {})
KILLED = WorkerEnd(-9, False, "its last words", {})
RAISED = WorkerEnd(1, False, "its traceback", {})
SECONDS = 60


class Scripted:
    """A member that reports events and ends, or that hangs until it is stopped."""

    def __init__(self, name, *events, end=WELL, hangs=False, raises=None, after=None):
        self.name = name
        self.is_over = threading.Event()
        self.is_stopped = threading.Event()
        self._script = events, end, hangs, raises, after

    def run(self, on_event):
        events, end, hangs, raises, after = self._script
        if after:
            assert after.is_over.wait(SECONDS)
        try:
            for event in events:
                on_event(event)
            if raises:
                raise raises
            if hangs:
                assert self.is_stopped.wait(SECONDS), "nobody stops it"
                return KILLED
            return end
        finally:
            self.is_over.set()

    def stop(self):
        self.is_stopped.set()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    monkeypatch.setattr(worker_group, "_SECONDS_TO_REPORT", 0.2)


def run(*members):
    """Run a group of members and return its events and its end."""
    events = []
    return events, run_group(members, SECONDS, events.append)


def failures(events):
    return [event for event in events if isinstance(event, Failed)]


def test_only_the_events_of_rank_0_are_reported_and_waiting_members_are_stopped():
    other = Scripted("rank 1 of 2", PhaseBegan("other"), FINISHED, hangs=True)
    events, end = run(Scripted("rank 0 of 2", PhaseBegan("own"), FINISHED), other)
    assert events == [PhaseBegan("own"), FINISHED]
    assert end == WELL
    assert other.is_stopped.is_set()


def test_a_member_that_dies_stops_rank_0_and_is_named():
    first = Scripted("rank 0 of 2", PhaseBegan("build"), hangs=True)
    events, end = run(first, Scripted("rank 1 of 2", PhaseBegan("compile"), end=KILLED))
    (failed,) = failures(events)
    assert first.is_stopped.is_set()
    assert failed.outcome == "crashed"
    assert failed.reason.startswith("rank 1 of 2: the worker ended in phase compile, killed by")
    assert end.log.endswith("--- rank 1 of 2:\nits last words")


def test_a_dead_member_takes_precedence_over_the_broken_connection_that_rank_0_reports():
    other = Scripted("rank 1 of 2", end=KILLED)
    first = Scripted("rank 0 of 2", Failed("failed", "connection closed"), end=RAISED, after=other)
    events, _ = run(first, other)
    (failed,) = failures(events)
    assert failed.outcome == "crashed"
    assert failed.reason.startswith("connection closed; rank 1 of 2: the worker ended")


def test_a_reason_common_to_all_members_is_reported_once():
    unsupported = Failed("unsupported", "no such thing")
    members = [Scripted(f"rank {n} of 3", unsupported, end=RAISED) for n in range(3)]
    events, _ = run(*members)
    assert events == [unsupported]


def test_out_of_memory_on_any_rank_is_the_outcome():
    other = Scripted("rank 1 of 2", Failed("out_of_memory", "no room"), end=RAISED)
    events, _ = run(Scripted("rank 0 of 2", hangs=True), other)
    assert events == [Failed("out_of_memory", "rank 1 of 2: no room")]


def test_the_death_of_rank_0_is_reported_with_its_exit_status():
    first = Scripted("rank 0 of 2", PhaseBegan("build"), end=KILLED)
    other = Scripted("rank 1 of 2", Failed("failed", "connection closed"), end=RAISED, after=first)
    events, end = run(first, other)
    assert failures(events) == []
    assert end.exit_status == -9


def test_a_failure_after_rank_0_has_finished_is_ignored():
    first = Scripted("rank 0 of 2", FINISHED, hangs=True)
    events, end = run(first, Scripted("rank 1 of 2", end=KILLED))
    assert events == [FINISHED]
    assert end.exit_status == -9, "it is stopped, since it waits for the other one"


def test_a_divergence_is_reported_once():
    diverged = Failed("diverged", "the loss is not finite")
    members = [Scripted(f"rank {n} of 2", diverged, hangs=bool(n)) for n in range(2)]
    events, _ = run(*members)
    assert events == [diverged]


def test_an_interrupt_stops_all_members():
    other = Scripted("rank 1 of 2", hangs=True)
    with pytest.raises(KeyboardInterrupt):
        run(Scripted("rank 0 of 2", raises=KeyboardInterrupt()), other)
    assert other.is_stopped.is_set()


def test_an_exception_in_a_member_is_raised_to_the_caller():
    first = Scripted("rank 0 of 2", hangs=True)
    with pytest.raises(ConnectionError, match="the node is gone"):
        run(first, Scripted("rank 1 of 2", raises=ConnectionError("the node is gone")))
    assert first.is_stopped.is_set()
