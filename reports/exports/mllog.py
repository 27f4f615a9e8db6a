"""mllog.txt: MLPerf's logging events of each trial, rebuilt from its record.

The keys are those of the MLPerf training rules (mlperf_logging.mllog.constants). Times run from
the trial's start, which is recorded to the second, through its phases in their order.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench import __version__
from bench.records.trial import TrialRecord
from reports.analysis.runs import Source
from reports.documents.run_report import Edition

_STATUS = {"ok": "success", "interrupted": "aborted"}


def mllog_bytes(edition: Edition) -> bytes:
    """Return one line per event, trial after trial."""
    lines = (
        _line(event, trial)
        for source in edition.sources
        for trial in source.run.trials
        for event in _events(source, trial)
    )
    return b"".join(lines)


Event = tuple[float, str, str, Any, dict[str, Any]]


def _line(event: Event, trial: TrialRecord) -> bytes:
    seconds, kind, key, fact, metadata = event
    value = {
        "namespace": "evenbench",
        "time_ms": round(1000 * seconds),
        "event_type": kind,
        "key": key,
        "value": fact,
        "metadata": {"trial": trial.trial, **metadata},
    }
    return b":::MLLOG " + msgspec.json.encode(value) + b"\n"


def _events(source: Source, trial: TrialRecord) -> Iterator[Event]:
    start = _time(trial.started_at or source.run.manifest.started_at)
    for key, value in _facts(source, trial).items():
        yield start, "POINT_IN_TIME", key, value, {}
    yield start, "INTERVAL_START", "init_start", None, {}
    phases = (trial.import_seconds, trial.data_seconds, trial.build_seconds, trial.compile_seconds)
    clock = start + sum(seconds for seconds in phases if seconds is not None)
    yield clock, "INTERVAL_END", "init_stop", None, {}
    yield clock, "INTERVAL_START", "run_start", None, {}
    for number, epoch in enumerate(trial.per_epoch, start=1):
        own = {"epoch_num": number}
        yield clock, "INTERVAL_START", "epoch_start", None, own
        clock += epoch.seconds
        yield clock, "INTERVAL_END", "epoch_stop", None, own
        yield clock, "INTERVAL_START", "eval_start", None, own
        clock += epoch.evaluate_seconds
        yield clock, "POINT_IN_TIME", "eval_accuracy", epoch.test_accuracy, own
        yield clock, "INTERVAL_END", "eval_stop", None, own
    status = _STATUS.get(trial.outcome, "failed")
    yield clock, "INTERVAL_END", "run_stop", None, {"status": status, "outcome": trial.outcome}


def _facts(source: Source, trial: TrialRecord) -> dict[str, Any]:
    manifest = source.run.manifest
    return {
        "submission_benchmark": trial.job.model,
        "submission_platform": manifest.machine.cpu_model,
        "submission_division": "open",
        "framework": f"{trial.job.backend} {trial.framework_version} {trial.job.mode}",
        "evenbench_version": __version__,
        "seed": trial.seed,
        "global_batch_size": trial.job.batch_size,
        "train_samples": trial.train_samples or manifest.dataset.train_examples,
        "eval_samples": manifest.dataset.test_examples,
        "opt_name": msgspec.to_builtins(manifest.optimizer)["kind"],
        "opt_base_learning_rate": manifest.optimizer.learning_rate,
    }


def _time(text: str) -> float:
    """Return seconds since 1970; 0 for a time that cannot be read."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
