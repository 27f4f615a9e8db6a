"""Run what was prepared: check the contenders, run the trials, write the report."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console

from bench.cli.progress import observer_for
from bench.cli.tables import summary_table
from bench.executor import Executor
from bench.folder import RunFolder
from bench.gate import certificates, contenders, equivalence_of
from bench.records import Equivalence, TrialRecord
from bench.request import Prepared, gate_of
from bench.runner import ContenderModel, Observer, run_trials
from bench.verification.case import careful

ALL_MEASURED, SOME_FAILED, NOTHING_MEASURED, INTERRUPTED = 0, 1, 3, 130


def end_as_interrupted() -> None:
    """Treat an end from outside, and a closed terminal, as Ctrl-C: record, report, then end."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


class Execution(NamedTuple):
    """Where a run's workers run, and where its records and words go."""

    executor: Executor
    folder: RunFolder
    results: Console
    messages: Console

    def run(self, prepared: Prepared, verify: bool, kept: Sequence[TrialRecord] = ()) -> int:
        """Run the trials and write the report.

        Args:
            prepared: the experiment and the trials to run.
            verify: whether each contender is checked first.
            kept: records of the same run that still hold.

        Returns:
            The command's exit status.
        """
        with observer_for(self.messages, len(prepared.trials)) as observer:
            experiment = prepared.experiment
            if verify:
                equivalence = self._verified(prepared, observer)
                experiment = msgspec.structs.replace(experiment, equivalence=equivalence)
            made = run_trials(prepared.trials, experiment, self.executor, self.folder, observer)
        records = [*kept, *made]
        self.results.print(summary_table(records))
        self.messages.print(f"Report: {_report(self.folder.path)}")
        return status_of(records)

    def _verified(
        self, prepared: Prepared, observer: Observer
    ) -> dict[ContenderModel, Equivalence]:
        """Which contenders passed on which models; the certificates are stored with the run."""
        optimizers = {"this run's optimizer": careful(prepared.experiment.optimizer)}
        gate = gate_of(prepared, optimizers, prepared.experiment.timeout)
        wanted = contenders(prepared.jobs, prepared.experiment.recipes)
        made = list(certificates(wanted, gate, self.executor, observer.check_began))
        self.folder.write_certificates(made)
        return equivalence_of(made)


def _report(folder: Path) -> Path:
    from reports import write_report

    write_report([folder])
    return folder / "report.html"


def status_of(records: Sequence[TrialRecord]) -> int:
    """The exit status that tells how much of what was asked for was measured."""
    outcomes = {record.outcome for record in records}
    if "interrupted" in outcomes:
        return INTERRUPTED
    if "ok" not in outcomes:
        return NOTHING_MEASURED
    return ALL_MEASURED if outcomes == {"ok"} else SOME_FAILED
