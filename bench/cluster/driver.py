"""The driver of a run on several nodes: it hands out trials and records what comes back.

One thread per node receives its messages. Everything else, writing to the run's folder too, happens
in the caller's thread, one message after the other.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from bench.cluster.lanes import Assignment, Lanes, Node, explain_moves
from bench.cluster.ledger import Ledger
from bench.cluster.messages import Message, Refused
from bench.records.trial import TrialRecord
from bench.run.interrupts import Interrupts
from bench.run.outcome import Verdict
from bench.spec.job import Trial

_CHECK_SECONDS = 0.25  # how soon an interrupt is noticed


class LostNodeError(Exception):
    """A node was lost: its messages ended before its trials did.

    Attributes:
        is_alive: whether the first node can be given work again.
        other: the node that is lost, if it is one that shared the first node's trial.
    """

    def __init__(self, reason: str, is_alive: bool, other: Node | None = None) -> None:
        super().__init__(reason)
        self.is_alive = is_alive
        self.other = other


class Nodes(Protocol):
    """Machines that run trials."""

    def run(self, node: Node, trials: Sequence[Trial], others: Sequence[Node]) -> Iterator[Message]:
        """Run trials on a node and yield its messages as they come.

        Args:
            node: runs the trials; if they have several hosts, it is the first of them.
            trials: the trials, in order.
            others: the other hosts.

        Raises:
            LostNodeError: a node was lost before the trials ended.
        """

    def stop(self) -> None:
        """Kill every trial that runs, and its agent."""


class _Done(msgspec.Struct, frozen=True):
    """A node has finished its assignment."""


_Received = tuple[Node, Message | _Done | BaseException]


class Driver:
    """Runs all trials of a run on its nodes, block by block."""

    def __init__(self, nodes: Nodes, lanes: Lanes, ledger: Ledger, interrupts: Interrupts) -> None:
        self._nodes = nodes
        self._lanes = lanes
        self._ledger = ledger
        self._interrupts = interrupts
        self._inbox: queue.SimpleQueue[_Received] = queue.SimpleQueue()

    def run(self, trials: Sequence[Trial]) -> Iterator[TrialRecord]:
        """Run every trial on some node; yield each record once it is on the disk.

        The first interrupt stops all trials; each trial that was running is recorded as such.
        """
        self._lanes.add(trials)
        while True:
            for trial in self._lanes.stranded():
                yield self._ledger.give_up(trial, _STRANDED)
            if self._lanes.is_done():
                return
            for node in self._lanes.idle():
                assigned = self._lanes.take(node)
                if assigned.trials:
                    thread = threading.Thread(
                        target=self._receive, args=(node, assigned), daemon=True
                    )
                    thread.start()
            received = self._next()
            if received is None:
                yield from self._stopped()
                return
            yield from self._handle(*received)

    def _next(self) -> _Received | None:
        """The next message of any node; None after an interrupt."""
        while not self._interrupts.requested:
            try:
                return self._inbox.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                continue
        return None

    def _handle(
        self, node: Node, message: Message | _Done | BaseException
    ) -> Iterator[TrialRecord]:
        match message:
            case Refused():
                self._lanes.refused(node)
                self._ledger.announce(node, f"left out: {message.reason}")
            case LostNodeError():
                yield from self._lost(node, message)
            case _Done():
                self._lanes.done(node)
            case BaseException():
                raise message
            case _:
                for trial, record in self._recorded(node, message):
                    self._lanes.ended(node, trial)
                    yield record

    def _recorded(self, node: Node, message: Message) -> list[tuple[Trial, TrialRecord]]:
        ended = self._ledger.note(node, message)
        return [ended] if ended else []

    def _lost(self, node: Node, lost: LostNodeError) -> Iterator[TrialRecord]:
        running = self._ledger.running(node)
        # A node that is lost before a trial begins would be lost again.
        is_alive = lost.is_alive and (running is not None or lost.other is not None)
        given_up = self._lanes.lost(node, is_alive, lost.other)
        self._ledger.announce(lost.other or node, f"lost: {lost}")
        if given_up is not None:
            verdict = Verdict("crashed", explain_moves(self._lanes.moves[given_up]))
            yield self._ledger.give_up(given_up, verdict, node)
        elif running is not None:
            where = "goes on with another node" if lost.other else "goes to another node"
            self._ledger.announce(node, f"{running.name} {where}")
        self._ledger.forget(node)

    def _stopped(self) -> Iterator[TrialRecord]:
        self._nodes.stop()
        while not self._inbox.empty():  # results that arrived before the end are kept
            node, message = self._inbox.get()
            if not isinstance(message, (_Done, BaseException)):
                yield from (record for _, record in self._recorded(node, message))
        yield from self._ledger.interrupted()

    def _receive(self, node: Node, assigned: Assignment) -> None:
        try:
            for message in self._nodes.run(node, assigned.trials, assigned.others):
                self._inbox.put((node, message))
            self._inbox.put((node, _Done()))
        except BaseException as error:  # raised or handled in the caller's thread
            self._inbox.put((node, error))


_STRANDED = Verdict(
    "unavailable",
    "no node of the cluster is left that can run it: continue with bench run --resume when there "
    "is one",
)
