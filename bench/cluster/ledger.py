"""Record and display the messages of the nodes: the part of the driver that writes."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from bench.cluster.lanes import Node
from bench.cluster.messages import (
    Began,
    Certified,
    Checking,
    Disturbed,
    Ended,
    Message,
    Progress,
    WorkerReported,
)
from bench.records.trial import TrialRecord
from bench.records.writer import RunFolder
from bench.run.experiment import Experiment, Measurement, planned_record
from bench.run.observers import Observer
from bench.run.outcome import INTERRUPTED, Verdict, with_events
from bench.run.runner import save
from bench.spec.job import Trial
from bench.verification.certificate import Certificate
from bench.worker.protocol import Event


class _Running(msgspec.Struct):
    """The trial that a node runs, with everything reported so far."""

    trial: Trial
    record: TrialRecord
    events: list[Event]


class Ledger:
    """Writes records and certificates as they come, and knows which trial each node runs."""

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        observer: Observer,
        say: Callable[[str], None],
        certificates: Sequence[Certificate] = (),
    ) -> None:
        """Create a ledger.

        Args:
            experiment: the driver's own, for trials that no node began.
            folder: the run's folder.
            observer: is informed of every trial.
            say: called with everything else that the user should know.
            certificates: the run's certificates so far.
        """
        self._experiment = experiment
        self._folder = folder
        self._observer = observer
        self._say = say
        self._running: dict[str, _Running] = {}
        self._certificates = {_subject(each): each for each in certificates}

    def announce(self, node: Node, text: str) -> None:
        """Tell the user what happens on a node."""
        self._say(f"{node.name}: {text}")

    def running(self, node: Node) -> Trial | None:
        """Return the trial that the node runs."""
        found = self._running.get(node.key)
        return found.trial if found else None

    def forget(self, node: Node) -> None:
        """Forget the trial that the node ran."""
        self._running.pop(node.key, None)

    def note(self, node: Node, message: Message) -> tuple[Trial, TrialRecord] | None:
        """Record a message of a node.

        Returns:
            The trial and its record, which is on the disk, if the trial is over.
        """
        match message:
            case Progress(text=text):
                self.announce(node, text)
            case Checking(job=job):
                self._observer.check_began(job)
            case Certified(certificates=certificates):
                self._certify(certificates)
            case Began(trial=trial, record=record):
                self._running[node.key] = _Running(trial, record, [])
                self._observer.trial_began(trial, node.name)
            case Ended():
                return self._ended(node, Measurement(message.record, message.explained))
            case WorkerReported() | Disturbed():
                self._continue(self._running[node.key], message)
        return None

    def give_up(self, trial: Trial, verdict: Verdict, node: Node | None = None) -> TrialRecord:
        """Record a trial that no node finished, with what the last node reported about it."""
        at = self._running.pop(node.key, None) if node else None
        if at is None or at.trial != trial:
            # The blank record names the driver's machine, which did not run the trial.
            unknown = planned_record(trial, self._experiment, verdict)
            record = msgspec.structs.replace(unknown, machine="", hardware_digest="")
        else:
            began = msgspec.structs.replace(
                at.record, outcome=verdict.outcome, reason=verdict.reason
            )
            record = with_events(began, at.events)
        return self._kept(trial, Measurement(record, None))

    def interrupted(self) -> Iterator[TrialRecord]:
        """Record every running trial as interrupted."""
        for at in list(self._running.values()):
            record = msgspec.structs.replace(
                at.record, outcome=INTERRUPTED.outcome, reason=INTERRUPTED.reason
            )
            yield self._kept(at.trial, Measurement(with_events(record, at.events), None))
        self._running.clear()

    def _continue(self, at: _Running, message: WorkerReported | Disturbed) -> None:
        if isinstance(message, Disturbed):
            at.events.clear()
            self._observer.trial_disturbed(at.trial, message.record)
        else:
            at.events.append(message.event)
            self._observer.trial_event(at.trial, message.event)

    def _ended(self, node: Node, found: Measurement) -> tuple[Trial, TrialRecord]:
        trial = self._running.pop(node.key).trial
        return trial, self._kept(trial, found)

    def _kept(self, trial: Trial, found: Measurement) -> TrialRecord:
        save(trial, found, self._folder)
        self._observer.trial_ended(trial, found.record)
        return found.record

    def _certify(self, made: Sequence[Certificate]) -> None:
        """Keep one certificate per subject: one that did not pass, if the nodes differ."""
        before = dict(self._certificates)
        for each in made:
            known = self._certificates.get(_subject(each))
            if known is None or (known.passed and not each.passed):
                self._certificates[_subject(each)] = each
        if self._certificates != before:
            self._folder.write_certificates(list(self._certificates.values()))


def _subject(each: Certificate) -> tuple[object, ...]:
    """Everything that a certificate is about, apart from the machine that made it."""
    return each.job, each.framework_version
