"""The driver of a run on several nodes: hands out trials, and records what comes back.

One thread a node waits for what the node tells; everything else, the run's folder too, happens in
the caller's thread, message by message.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from bench.cluster.lanes import Lanes, Node, Taken, fate
from bench.cluster.ledger import Ledger
from bench.cluster.messages import Message, Refused
from bench.records.trial import TrialRecord
from bench.run.interrupts import Interrupts
from bench.run.outcome import Verdict
from bench.spec.job import Trial

_LOOK_SECONDS = 0.25  # how soon an interrupt is seen


class LostNodeError(Exception):
    """A node tells nothing any more: says what is known of it.

    Attributes:
        is_alive: the node can be given work again.
        helper: the one that is lost, where it is one that shared the trial.
    """

    def __init__(self, reason: str, is_alive: bool, helper: Node | None = None) -> None:
        super().__init__(reason)
        self.is_alive = is_alive
        self.helper = helper


class Nodes(Protocol):
    """Machines that run trials."""

    def run(
        self, node: Node, trials: Sequence[Trial], helpers: Sequence[Node]
    ) -> Iterator[Message]:
        """What the node tells while it works through the trials, as it comes.

        Args:
            node: that does them, and leads where they have several hosts.
            trials: in order.
            helpers: the other hosts.

        Raises:
            LostNodeError: it told nothing to the end.
        """

    def stop(self) -> None:
        """End every trial that runs, and what runs it."""


class _Over(msgspec.Struct, frozen=True):
    """A node is through with what it took."""


_Said = tuple[Node, Message | _Over | BaseException]


class Crew:
    """The nodes of a run and what they do, over all its blocks."""

    def __init__(self, nodes: Nodes, lanes: Lanes, ledger: Ledger, interrupts: Interrupts) -> None:
        self._nodes = nodes
        self._lanes = lanes
        self._ledger = ledger
        self._interrupts = interrupts
        self._inbox: queue.SimpleQueue[_Said] = queue.SimpleQueue()

    def run(self, trials: Sequence[Trial]) -> Iterator[TrialRecord]:
        """Run every trial on some node; each costs one record, on the disk when it comes.

        The first interrupt ends all that runs; each trial that was running is recorded so.
        """
        self._lanes.add(trials)
        while True:
            for trial in self._lanes.stranded():
                yield self._ledger.give_up(trial, _STRANDED)
            if self._lanes.is_done():
                return
            for node in self._lanes.idle():
                taken = self._lanes.take(node)
                if taken.trials:
                    threading.Thread(target=self._follow, args=(node, taken), daemon=True).start()
            said = self._next()
            if said is None:
                yield from self._stopped()
                return
            node, what = said
            yield from self._heard(node, what)

    def _next(self) -> _Said | None:
        """What a node says next; None once an interrupt came."""
        while not self._interrupts.requested:
            try:
                return self._inbox.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
        return None

    def _heard(self, node: Node, what: Message | _Over | BaseException) -> Iterator[TrialRecord]:
        match what:
            case Refused():
                self._lanes.refused(node)
                self._ledger.tell(node, f"left out: {what.reason}")
            case LostNodeError():
                yield from self._lost(node, what)
            case _Over():
                self._lanes.done(node)
            case BaseException():
                raise what
            case _:
                for trial, record in self._noted(node, what):
                    self._lanes.ended(node, trial)
                    yield record

    def _noted(self, node: Node, what: Message) -> list[tuple[Trial, TrialRecord]]:
        ended = self._ledger.note(node, what)
        return [ended] if ended else []

    def _lost(self, node: Node, lost: LostNodeError) -> Iterator[TrialRecord]:
        running = self._ledger.running(node)
        # One that dies before a trial begins would do so again.
        is_alive = lost.is_alive and (running is not None or lost.helper is not None)
        given_up = self._lanes.lost(node, is_alive, lost.helper)
        self._ledger.tell(lost.helper or node, f"lost: {lost}")
        if given_up is not None:
            verdict = Verdict("crashed", fate(self._lanes.moves[given_up]))
            yield self._ledger.give_up(given_up, verdict, node)
        elif running is not None:
            where = "goes on with another node" if lost.helper else "goes to another node"
            self._ledger.tell(node, f"{running.name} {where}")
        self._ledger.forget(node)

    def _stopped(self) -> Iterator[TrialRecord]:
        self._nodes.stop()
        while not self._inbox.empty():  # what was measured before the end is kept
            node, what = self._inbox.get()
            if not isinstance(what, (_Over, BaseException)):
                yield from (record for _, record in self._noted(node, what))
        yield from self._ledger.interrupted()

    def _follow(self, node: Node, taken: Taken) -> None:
        try:
            for message in self._nodes.run(node, taken.trials, taken.helpers):
                self._inbox.put((node, message))
            self._inbox.put((node, _Over()))
        except BaseException as error:  # one that is none of a node's is the caller's to see
            self._inbox.put((node, error))


_STRANDED = Verdict(
    "unavailable",
    "no node of the cluster is left that can run it: go on with bench run --resume when there is",
)
