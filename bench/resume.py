"""Go on with a run: which of its records still hold, and which trials must run again."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from backends.api import Recipe
from backends.registry import installed_version
from bench.choices import ChoiceError
from bench.data.decoded import open_decoded
from bench.data.prepare import prepare
from bench.environments.choosing import Tell, choose_backends
from bench.gate import backend_digest
from bench.identity import hardware_digest, machine_name
from bench.manifest import trial_of
from bench.reading import read_run
from bench.records import MANIFEST, Manifest, RecordError, Run, TrialRecord
from bench.request import Prepared, choose_threads, facts_of, wants_gpu
from bench.runner import Experiment


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """A run to go on with.

    Attributes:
        prepared: the experiment and the trials that are left.
        manifest: the run's own.
        kept: the records that still hold.
        reasons: why each of the others does not, by trial.
    """

    prepared: Prepared
    manifest: Manifest
    kept: list[TrialRecord]
    reasons: dict[str, str]


def resume(folder: Path, tell: Tell | None = None) -> Resumed:
    """Read a run and find what is left of it.

    Args:
        folder: the run's.
        tell: called with what takes time; without it, no environment is made.

    Raises:
        RecordError: there is no run, or what it was made with is no longer there.
        ValueError: in one of the other classes that speak of what the user gave.
    """
    run = read_run(folder)
    asked = sorted({trial.backend for trial in run.manifest.plan})
    on_gpu = wants_gpu([trial.device for trial in run.manifest.plan])
    try:
        chosen = choose_backends(asked, on_gpu, tell)
    except ChoiceError as error:
        raise RecordError(
            f"{folder}: the run has a backend that is not there now: {error}"
        ) from error
    prepared = _prepared(folder, run, {recipe.name: recipe for recipe in chosen.recipes})
    records = {record.trial: record for record in run.trials}
    reasons = {
        trial.name: _why_again(records.get(trial.name), prepared.experiment, trial.job.backend)
        for trial in prepared.trials
    }
    return Resumed(
        prepared=msgspec.structs.replace(
            prepared, trials=[trial for trial in prepared.trials if reasons[trial.name]]
        ),
        manifest=run.manifest,
        kept=[record for name, record in records.items() if not reasons.get(name)],
        reasons={name: reason for name, reason in reasons.items() if reason},
    )


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a run file's plan.

    Attributes:
        prepared: the experiment and the trials that are left.
        manifest: of the run as it is to be.
        is_begun: whether the folder holds a run.
        kept: the records that still hold.
        reasons: why others do not, by trial.
    """

    prepared: Prepared
    manifest: Manifest
    is_begun: bool = False
    kept: list[TrialRecord] = []
    reasons: dict[str, str] = {}

    def remarks(self) -> list[str]:
        """What the user should know."""
        if not self.is_begun:
            return []
        lines = [f"{len(self.kept)} records of this file's run hold and are not taken again"]
        return lines + [f"{name} runs again: {reason}" for name, reason in self.reasons.items()]


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
}


def go_on(folder: Path, manifest: Manifest, prepared: Prepared) -> Left:
    """What is left to do of a plan, given what its folder may hold already.

    Trials that the folder's run has and the plan has no longer stay with their records.

    Args:
        folder: of the run; it need not exist.
        manifest: of the run that the plan would make.
        prepared: the plan.

    Raises:
        RecordError: the run in the folder was asked for in another way.
    """
    if not (folder / MANIFEST).exists():
        return Left(prepared=prepared, manifest=manifest)
    run = read_run(folder)
    _check_common(folder, run.manifest, manifest)
    records = {record.trial: record for record in run.trials}
    reasons = {
        trial.name: _why_again(records.get(trial.name), prepared.experiment, trial.job.backend)
        for trial in prepared.trials
    }
    planned = {each.trial for each in manifest.plan}
    others = [each for each in run.manifest.plan if each.trial not in planned]
    measured = [each for each in others if each.trial in records]
    return Left(
        prepared=msgspec.structs.replace(
            prepared, trials=[trial for trial in prepared.trials if reasons[trial.name]]
        ),
        manifest=msgspec.structs.replace(
            manifest,
            started_at=run.manifest.started_at,
            models=run.manifest.models | manifest.models,
            repeats=max(manifest.repeats, run.manifest.repeats),
            plan=[*manifest.plan, *measured],
        ),
        is_begun=True,
        kept=[record for name, record in records.items() if not reasons.get(name)],
        reasons={name: why for name, why in reasons.items() if why and name in records},
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


def _prepared(folder: Path, run: Run, found: Mapping[str, Recipe]) -> Prepared:
    manifest = run.manifest
    source = prepare(Path(manifest.data_dir) if manifest.data_dir else None)
    dataset = facts_of(open_decoded(source.folder), manifest.train_samples)
    if dataset != manifest.dataset:
        raise RecordError(f"{folder}: the data set {manifest.dataset.name} is another than it was")
    threads, cpus = choose_threads(manifest.threads)
    planned = [trial_of(each) for each in manifest.plan]
    jobs = list(dict.fromkeys(trial.job for trial in planned))
    return Prepared(
        experiment=Experiment(
            models=manifest.models,
            recipes=dict(found),
            framework_versions={name: installed_version(each) for name, each in found.items()},
            dataset=dataset.name,
            data=source.folder,
            optimizer=manifest.optimizer,
            epochs=manifest.epochs,
            until_accuracy=manifest.until_accuracy,
            train_samples=manifest.train_samples,
            threads=threads,
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


def _why_again(record: TrialRecord | None, experiment: Experiment, backend: str) -> str:
    """Why the trial must run again; empty when its record holds."""
    if record is None:
        return "not measured yet"
    if record.outcome != "ok":
        return f"it was {record.outcome}"
    version = experiment.framework_versions[backend]
    if record.framework_version != version:
        return f"measured with version {record.framework_version}, now {version}"
    if record.backend_digest != backend_digest(experiment.recipes[backend]):
        return "the backend's source has changed"
    if record.machine != machine_name():
        return f"measured on the machine {record.machine}, this is {machine_name()}"
    if record.hardware_digest != hardware_digest():
        return "measured on other hardware of the same name"
    return ""
