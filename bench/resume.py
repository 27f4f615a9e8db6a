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
from bench.records import Manifest, RecordError, Run, TrialRecord
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


def _prepared(folder: Path, run: Run, found: Mapping[str, Recipe]) -> Prepared:
    manifest = run.manifest
    source = prepare(Path(manifest.data_dir) if manifest.data_dir else None)
    dataset = facts_of(open_decoded(source.folder), manifest.train_samples)
    if dataset != manifest.dataset:
        raise RecordError(f"{folder}: the data set {manifest.dataset.name} is another than it was")
    threads, cpus = choose_threads(manifest.threads)
    planned = [trial_of(each) for each in manifest.plan]
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
        jobs=list(dict.fromkeys(trial.job for trial in planned)),
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
