"""Run what was prepared: check the contenders, run the trials, write the report."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from rich.console import Console

from bench.cli.progress import observer_for
from bench.cli.tables import summary_table
from bench.records.manifest import Manifest
from bench.records.predictions import pictures_of
from bench.records.reader import read_run
from bench.records.trial import Equivalence, TrialRecord
from bench.records.writer import RunFolder
from bench.run.certificates import ContenderModel, certificates, contenders, equivalence_of
from bench.run.executor import Executor
from bench.run.interrupts import Interrupts
from bench.run.prepared import Prepared, known_limits, own_gate
from bench.run.repeats import run_blocks
from bench.run.runner import Experiment, Observer, run_trials

if TYPE_CHECKING:
    from bench.cluster.connect import Cluster

ALL_MEASURED, SOME_FAILED, NOTHING_MEASURED, INTERRUPTED = 0, 1, 3, 130


class Execution(NamedTuple):
    """Where a run's workers run, what stops it, and where its records and words go.

    With a cluster they run on its nodes.
    """

    executor: Executor
    interrupts: Interrupts
    folder: RunFolder
    results: Console
    messages: Console
    cluster: "Cluster | None" = None

    def run(self, prepared: Prepared, manifest: Manifest, kept: Sequence[TrialRecord] = ()) -> int:
        """Run the trials and write the report.

        Args:
            prepared: the experiment and the trials to run.
            manifest: of the run, as it is on the disk.
            kept: records of the same run that still hold.

        Returns:
            The command's exit status.
        """
        with observer_for(self.messages, len(prepared.trials)) as observer:
            manifest = self._measured(prepared, manifest, kept, observer)
        run = read_run(self.folder.path)
        records = run.trials
        if run.explanations:
            self.folder.write_pictures(pictures_of(run.explanations, prepared.experiment.data))
        if manifest.auto_repeats:
            ended = manifest.auto_repeats.ended or "interrupted"
            self.messages.print(f"{manifest.repeats} repeats: {ended}")
        self.results.print(summary_table(records))
        self.messages.print(f"Report: {_report(self.folder.path)}")
        if self.interrupts.asked:
            self.messages.print(f"Go on with: bench run --resume {self.folder.path}")
            return INTERRUPTED
        return status_of(records)

    def _measured(
        self,
        prepared: Prepared,
        manifest: Manifest,
        kept: Sequence[TrialRecord],
        observer: Observer,
    ) -> Manifest:
        """The manifest as it has become; nothing is measured if the checks are stopped."""
        if self.cluster is not None:
            crew = self.cluster.crew(
                prepared, manifest, kept, self.folder, observer, self.interrupts, self._say
            )
            return run_blocks(prepared.trials, manifest, kept, crew.run, self.folder, observer)
        experiment = prepared.experiment
        try:
            # First, since they tell which devices a backend lacks.
            limits = tuple(known_limits(prepared, self.executor, self._say))
            experiment = msgspec.structs.replace(experiment, limits=limits)
            equivalence = (
                self._verified(prepared, experiment, observer) if manifest.verified else {}
            )
        except KeyboardInterrupt:
            return manifest
        experiment = msgspec.structs.replace(experiment, equivalence=equivalence)
        run = partial(
            run_trials,
            experiment=experiment,
            executor=self.executor,
            folder=self.folder,
            observer=observer,
        )
        return run_blocks(prepared.trials, manifest, kept, run, self.folder, observer)

    def _say(self, text: str) -> None:
        self.messages.print(text)

    def _verified(
        self, prepared: Prepared, experiment: Experiment, observer: Observer
    ) -> dict[ContenderModel, Equivalence]:
        """Which contenders passed on which models; the certificates are stored with the run."""
        gate = own_gate(prepared)
        wanted = contenders(prepared.jobs, experiment.lacking)
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
    if "ok" not in outcomes:
        return NOTHING_MEASURED
    return ALL_MEASURED if outcomes == {"ok"} else SOME_FAILED
