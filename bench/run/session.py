"""A run, from its request to its records.

New runs, run files and resumed runs take this one path: `new_session` or `resumed_session` plans
the trials and finds the records that are still valid, `Session.run` measures the other trials.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from bench.errors import RecordError
from bench.records.manifest import ClusterChoice, Manifest
from bench.records.predictions import pictures_of
from bench.records.reader import Run, read_run
from bench.records.trial import MANIFEST, TrialRecord
from bench.records.writer import RunFolder
from bench.run.executor import Executor
from bench.run.interrupts import Interrupts
from bench.run.manifests import make_manifest
from bench.run.observers import Observer
from bench.run.prepare import Plan, make_plan, remake_plan
from bench.run.request import Report, Request
from bench.run.schedule import passes
from bench.run.validity import NOT_MEASURED, Validity, why_again
from bench.spec.job import Trial

# Measures trials; each record is on disk when it is yielded.
Measure = Callable[[Sequence[Trial]], Iterator[TrialRecord]]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is ready to be measured.

    Attributes:
        plan: of the run, with all its trials.
        trials: the trials that must be measured.
        manifest: of the run, as it will be written.
        machines: where the trials run.
        folder: of the run; None makes one under runs/.
        is_begun: whether the folder contains records of the run already.
        valid: the records that are still valid.
        reasons: why each trial that has a record is measured again, by its name.
    """

    plan: Plan
    trials: list[Trial]
    manifest: Manifest
    machines: "Machines"
    folder: Path | None
    is_begun: bool = False
    valid: list[TrialRecord] = []
    reasons: dict[str, str] = {}

    def run(self, observer: Observer, interrupts: Interrupts, report: Report) -> Path:
        """Measure the trials that are left; each record is on disk as soon as it exists.

        Args:
            observer: watches.
            interrupts: what ends the run before its time.
            report: called with a line for what takes time or should be known.

        Returns:
            The run's folder.

        Raises:
            RecordError: the folder cannot be written, or contains something else.
        """
        warnings = self.machines.warnings(report)
        notes = dict.fromkeys([*self.manifest.notes, *self.plan.notes, *warnings])
        session = msgspec.structs.replace(
            self, manifest=msgspec.structs.replace(self.manifest, notes=list(notes))
        )
        path = self.folder or new_folder()
        opened = RunFolder.reopen(path) if self.is_begun else RunFolder(path)
        with opened as folder, self.machines.presence():
            folder.write_manifest(session.manifest)
            try:
                measure = self.machines.start(session, folder, observer, interrupts, report)
            except KeyboardInterrupt:  # before the first trial
                return path
            for trials in passes(self.trials, session.manifest, folder, observer):
                for _ in measure(trials):
                    pass
            if explanations := read_run(path).explanations:
                folder.write_pictures(pictures_of(explanations, self.plan.experiment.data))
        return path


class Machines(Protocol):
    """Where the trials of a run are measured: this machine, or the nodes of a cluster."""

    @property
    def choice(self) -> ClusterChoice | None:
        """Which nodes of a cluster; None is this machine."""

    @property
    def cpus(self) -> Sequence[int]:
        """The CPUs that workers may be bound to."""

    @property
    def executor(self) -> Executor:
        """Starts workers on this machine, for instance to list a framework's devices."""

    def place(self, plan: Plan, repeats: int, seed: int) -> Plan:
        """Plan the trials for each kind of machine where there are several.

        Args:
            plan: of the trials, without machines.
            repeats: of each job.
            seed: of the first repeat.
        """

    def validity(self, plan: Plan) -> Validity:
        """Return a function that decides whether a record is still valid."""

    def warnings(self, report: Report) -> list[str]:
        """Report what disturbs the run from its start; return it as notes for the report."""

    def presence(self) -> AbstractContextManager[None]:
        """Show other runs of this machine that it is measuring."""

    def start(
        self,
        session: Session,
        folder: RunFolder,
        observer: Observer,
        interrupts: Interrupts,
        report: Report,
    ) -> Measure:
        """Do what precedes the first trial, and return what measures trials.

        Args:
            session: the run.
            folder: where records and certificates are written.
            observer: watches.
            interrupts: what ends the run before its time.
            report: called with a line for what takes time.
        """


def new_session(
    request: Request,
    machines: Machines,
    command: str,
    folder: Path | None = None,
    extend: bool = False,
    report: Report | None = None,
) -> Session:
    """Plan a run.

    Args:
        request: what the user requested.
        machines: where the trials run.
        command: as typed, for the manifest.
        folder: of the run; None makes one under runs/.
        extend: keep the valid records of the run that the folder contains, if any.
        report: called with what takes time; without it no environment is made.

    Raises:
        RecordError: the run in the folder has other settings.
        UserError: the trials are not possible here.
    """
    plan = make_plan(request, machines.executor, report, machines.cpus)
    plan = machines.place(plan, request.options.first_repeats, request.options.seed)
    manifest = make_manifest(plan, request, command, machines.choice)
    if extend and folder is not None and (folder / MANIFEST).exists():
        run = read_run(folder)
        return _extended(_remaining(run, plan, manifest, machines, folder), run)
    return Session(
        plan=plan, trials=plan.trials, manifest=manifest, machines=machines, folder=folder
    )


def resumed_session(folder: Path, machines: Machines, report: Report | None = None) -> Session:
    """Plan what is left of a run.

    Args:
        folder: of the run.
        machines: where the trials run.
        report: called with what takes time; without it no environment is made.

    Raises:
        RecordError: there is no run, or its backends or data are no longer there.
        UserError: the trials are not possible here.
    """
    run = read_run(folder)
    manifest, choice = run.manifest, machines.choice
    if manifest.cluster is not None and choice is None:
        raise RecordError(f"{folder}: the run was measured on a cluster: add --cluster ADDRESS")
    threads = choice.threads if choice else manifest.threads
    plan = remake_plan(str(folder), manifest, threads, machines.cpus, report)
    return _remaining(run, plan, manifest, machines, folder)


def _remaining(
    run: Run, plan: Plan, manifest: Manifest, machines: Machines, folder: Path
) -> Session:
    """Return the session that measures the trials without a valid record."""
    records = {record.trial: record for record in run.trials}
    validity = machines.validity(plan)
    reasons = {trial.name: why_again(records.get(trial.name), validity) for trial in plan.trials}
    return Session(
        plan=plan,
        trials=[trial for trial in plan.trials if reasons[trial.name]],
        manifest=manifest,
        machines=machines,
        folder=folder,
        is_begun=True,
        valid=[record for name, record in records.items() if not reasons.get(name)],
        reasons={name: reason for name, reason in reasons.items() if reason},
    )


# What all records of a run share: a field of the manifest, and what the user calls it.
_SHARED = {
    "dataset": "data set",
    "optimizer": "optimizer",
    "data_dir": "data_dir",
    "train_samples": "train_samples",
    "epochs": "epochs",
    "until_accuracy": "until_accuracy",
    "seed": "seed",
    "threads": "threads",
    "cluster": "cluster",
}


def _extended(session: Session, run: Run) -> Session:
    """Add the models and trials of the folder's run that the plan does not contain.

    Trials that the plan no longer contains keep their records and stay in the manifest.

    Raises:
        RecordError: the run in the folder has other settings.
    """
    old, new = run.manifest, session.manifest
    _check_shared(session.folder, old, new)
    planned = {each.name for each in new.plan}
    recorded = {record.trial for record in run.trials}
    others = [each for each in old.plan if each.name in recorded - planned]
    return msgspec.structs.replace(
        session,
        manifest=msgspec.structs.replace(
            new,
            started_at=old.started_at,
            models=old.models | new.models,
            repeats=max(new.repeats, old.repeats),
            plan=[*new.plan, *others],
        ),
        reasons={name: why for name, why in session.reasons.items() if why != NOT_MEASURED},
    )


def _check_shared(folder: Path | None, old: Manifest, new: Manifest) -> None:
    differing = [name for key, name in _SHARED.items() if getattr(old, key) != getattr(new, key)]
    both = old.models.keys() & new.models.keys()
    differing += [f"model {name}" for name in sorted(both) if old.models[name] != new.models[name]]
    if differing:
        raise RecordError(
            f"{folder} contains a run with another {', '.join(differing)}: name another folder "
            "with --output"
        )


def new_folder() -> Path:
    """Make runs/<UTC timestamp>, with a number where another run has that name.

    It is made here so that of several runs that start at once each has its own.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{stamp}-{number}" for number in itertools.count(2))
    for path in (Path("runs") / name for name in itertools.chain([stamp], names)):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError:
            pass  # opening it reports why it cannot be made
        return path
    raise AssertionError("numbers do not end")
