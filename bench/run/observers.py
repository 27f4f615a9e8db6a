"""Who watches a run, for instance to display its progress."""

from typing import Protocol

from bench.records.trial import TrialRecord
from bench.spec.job import Job, Trial
from bench.worker.protocol import Event


class TrialObserver(Protocol):
    """Watches a trial while it is measured."""

    def trial_event(self, trial: Trial, event: Event) -> None:
        """Called with each event of the trial's worker."""

    def trial_disturbed(self, trial: Trial, record: TrialRecord) -> None:
        """Called with the record of a disturbed attempt, before the trial is measured again."""


class Observer(TrialObserver, Protocol):
    """Watches a run, for instance to display its progress."""

    def check_began(self, job: Job) -> None:
        """Called when a certificate of the job is being made."""

    def trials_planned(self, number: int) -> None:
        """Called with the number of trials that are added to the plan."""

    def trial_began(self, trial: Trial, node: str = "") -> None:
        """Called when a trial starts, with the node's name where a cluster measures."""

    def trial_ended(self, trial: Trial, record: TrialRecord) -> None:
        """Called when the trial has ended and its record is on disk."""
