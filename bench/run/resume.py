"""Go on with a run: which of its records still hold, and which trials must run again."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from backends.api import Recipe
from backends.registry import installed_version
from bench.data.decoded import open_decoded
from bench.data.prepare import prepare
from bench.errors import ChoiceError, RecordError
from bench.machine.cpus import share_cpus
from bench.machine.environments.choosing import Tell, choose_backends
from bench.machine.hardware import usable_cpus
from bench.machine.identity import hardware_digest, machine_name
from bench.records.manifest import Manifest
from bench.records.reader import Run, read_run
from bench.records.trial import MANIFEST, TrialRecord
from bench.run.certificates import backend_digest
from bench.run.devices import wants_gpu
from bench.run.manifests import trial_of
from bench.run.models import facts_of
from bench.run.prepared import Prepared
from bench.run.runner import Experiment


class Holding(msgspec.Struct, frozen=True):
    """A machine, and what it has of the backends: the framework's version, the source's digest."""

    machine: str
    hardware_digest: str
    backends: dict[str, tuple[str | None, str]]


Judge = Callable[[TrialRecord], str]


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a run.

    Attributes:
        prepared: the experiment and the trials that are left.
        manifest: of the run as it is to be.
        is_begun: whether its folder holds anything of it yet.
        kept: the records that still hold.
        reasons: why each of the trials that are left must run.
    """

    prepared: Prepared
    manifest: Manifest
    is_begun: bool = True
    kept: list[TrialRecord] = []
    reasons: dict[str, str] = {}


_NOT_YET = "not measured yet"


def resume(folder: Path, tell: Tell | None = None) -> Left:
    """Read a run and find what is left of it.

    Args:
        folder: the run's.
        tell: called with what takes time; without it, no environment is made.

    Raises:
        RecordError: there is no run, or what it was made with is no longer there.
        ValueError: in one of the other classes that speak of what the user gave.
    """
    run = read_run(folder)
    if run.manifest.cluster is not None:
        raise RecordError(
            f"{folder}: received a run of a cluster's nodes, expected the cluster to go on with "
            "it: add --cluster ADDRESS"
        )
    prepared = prepare_again(str(folder), run.manifest, run.manifest.threads, usable_cpus(), tell)
    here = holding_of(prepared.experiment.recipes)
    return what_is_left(run, prepared, lambda record: why_again(record, [here]))


def what_is_left(run: Run, prepared: Prepared, judge: Judge) -> Left:
    """The run's trials that must run again.

    Args:
        run: as it is on the disk.
        prepared: with all trials of its plan.
        judge: why a record that is well does not hold; empty when it does.
    """
    records = {record.trial: record for record in run.trials}
    reasons = {trial.name: _judged(records.get(trial.name), judge) for trial in prepared.trials}
    return Left(
        prepared=msgspec.structs.replace(
            prepared, trials=[trial for trial in prepared.trials if reasons[trial.name]]
        ),
        manifest=run.manifest,
        kept=[record for name, record in records.items() if not reasons.get(name)],
        reasons={name: reason for name, reason in reasons.items() if reason},
    )


def prepare_again(
    where: str,
    manifest: Manifest,
    threads: int | None,
    usable: Sequence[int],
    tell: Tell | None = None,
) -> Prepared:
    """What the manifest says, prepared on this machine with all trials of the plan.

    Args:
        where: whose manifest it is, for messages.
        manifest: of the run.
        threads: of each process where a job says nothing; None shares the CPUs.
        usable: the CPUs that workers may be bound to.
        tell: called with what takes time; without it, no environment is made.

    Raises:
        RecordError: a backend is not there, or the data set is another.
        ValueError: in one of the other classes that speak of what the user gave.
    """
    found = recipes_again(where, manifest, tell)
    source = prepare(Path(manifest.data_dir) if manifest.data_dir else None)
    dataset = facts_of(open_decoded(source.folder), manifest.train_samples)
    if dataset != manifest.dataset:
        raise RecordError(f"{where}: the data set {manifest.dataset.name} is another than it was")
    planned = [trial_of(each) for each in manifest.plan]
    jobs = list(dict.fromkeys(trial.job for trial in planned))
    own_threads, cpus = share_cpus(jobs, threads, usable)
    return Prepared(
        experiment=Experiment(
            models=manifest.models,
            recipes=found,
            framework_versions={name: installed_version(each) for name, each in found.items()},
            dataset=dataset.name,
            data=source.folder,
            optimizer=manifest.optimizer,
            epochs=manifest.epochs,
            until_accuracy=manifest.until_accuracy,
            train_samples=manifest.train_samples,
            threads=own_threads,
            cpus=cpus,
            timeout=manifest.timeout_seconds,
            retries=manifest.retries,
        ),
        combinations=jobs,
        jobs=jobs,
        trials=planned,
        dataset=dataset,
        missing=manifest.missing,
        notes=source.notes,
    )


def recipes_again(where: str, manifest: Manifest, tell: Tell | None = None) -> dict[str, Recipe]:
    """The backends of a run, by name, as this machine has them; see `prepare_again`.

    Raises:
        RecordError: one is not there.
    """
    asked = sorted({trial.backend for trial in manifest.plan})
    on_gpu = wants_gpu([trial.device for trial in manifest.plan])
    try:
        chosen = choose_backends(asked, on_gpu, tell)
    except ChoiceError as error:
        raise RecordError(
            f"{where}: the run has a backend that is not there now: {error}"
        ) from error
    return {recipe.name: recipe for recipe in chosen.recipes}


# What all records of a run have in common.
_COMMON = {
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


def go_on(folder: Path, manifest: Manifest, prepared: Prepared, judge: Judge) -> Left:
    """What is left to do of a plan, given what its folder may hold already.

    Trials that the folder's run has and the plan has no longer stay with their records.

    Args:
        folder: of the run; it need not exist.
        manifest: of the run that the plan would make.
        prepared: the plan.
        judge: why a record that is well does not hold; empty when it does.

    Raises:
        RecordError: the run in the folder was asked for in another way.
    """
    if not (folder / MANIFEST).exists():
        return Left(prepared=prepared, manifest=manifest, is_begun=False)
    run = read_run(folder)
    _check_common(folder, run.manifest, manifest)
    left = what_is_left(run, prepared, judge)
    planned = {each.trial for each in manifest.plan}
    recorded = {record.trial for record in run.trials}
    others = [each for each in run.manifest.plan if each.trial in recorded - planned]
    return msgspec.structs.replace(
        left,
        manifest=msgspec.structs.replace(
            manifest,
            started_at=run.manifest.started_at,
            models=run.manifest.models | manifest.models,
            repeats=max(manifest.repeats, run.manifest.repeats),
            plan=[*manifest.plan, *others],
        ),
        reasons={name: why for name, why in left.reasons.items() if why != _NOT_YET},
    )


def _check_common(folder: Path, old: Manifest, new: Manifest) -> None:
    differing = [name for key, name in _COMMON.items() if getattr(old, key) != getattr(new, key)]
    both = old.models.keys() & new.models.keys()
    differing += [f"model {name}" for name in sorted(both) if old.models[name] != new.models[name]]
    if differing:
        raise RecordError(
            f"{folder}: the run there was made with another {', '.join(differing)}, and a run has "
            "one: name another folder with --output"
        )


def _judged(record: TrialRecord | None, judge: Judge) -> str:
    if record is None:
        return _NOT_YET
    return judge(record) if record.outcome == "ok" else f"it was {record.outcome}"


def why_again(record: TrialRecord, machines: Sequence[Holding]) -> str:
    """Why a record that is well does not hold on any of the machines; empty when it does."""
    named = [each for each in machines if each.machine == record.machine]
    if not named:
        here = ", ".join(sorted({each.machine for each in machines}))
        return f"measured on the machine {record.machine}, this is {here}"
    same = [each for each in named if each.hardware_digest == record.hardware_digest]
    if not same:
        return "measured on other hardware of the same name"
    version, digest = same[0].backends.get(record.backend, (None, ""))
    if record.framework_version != version:
        return f"measured with version {record.framework_version}, now {version}"
    if record.backend_digest != digest:
        return "the backend's source has changed"
    return ""


def holding_of(found: Mapping[str, Recipe]) -> Holding:
    """This machine, with what it has of the backends."""
    held = {name: (installed_version(each), backend_digest(each)) for name, each in found.items()}
    return Holding(machine_name(), hardware_digest(), held)
