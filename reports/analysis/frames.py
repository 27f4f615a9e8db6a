"""Records as data frames: a row a trial, a row a contender.

A ranking holds only what is alike: the same model, data and settings on the same machine. A
contender is what a ranking compares: a backend in a mode and version, in one run.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import msgspec
import pandas as pd

from bench.records.reader import Run
from bench.records.trial import TrialRecord, attribute_of
from reports.analysis.runs import Source
from reports.display import plain
from reports.metrics import METRIC_KEYS, METRICS

# `spec` tells apart models, optimizers and data sets that go by one name.
SETTING = ("model", "device", "dataset", "batch_size", "precision", "threads", "epochs", "arm")
RANKING = (
    *(*SETTING, "world_size", "hosts", "input"),
    *("until_accuracy", "train_samples", "machine", "spec"),
)
# What was asked for alike; only what its worker imported is known afterwards.
ASKED = (*RANKING, "run", "backend", "mode", "environment")
CONTENDER = (*ASKED, "framework_version", "equivalence")

_TEXT = ("trial", "device_title", "outcome", "reason")


def record_frame(
    records: Sequence[TrialRecord],
    run: str = "",
    machines: Mapping[str, str] = MappingProxyType({}),
    specs: Mapping[str, str] = MappingProxyType({}),
) -> pd.DataFrame:
    """A row a trial: what was asked, how it ended, and every metric, not a number if not known.

    Args:
        records: of one run.
        run: the run's name.
        machines: by the machine that a record names, its name in this report where that differs.
        specs: by model, a name for all that the records do not tell.
    """
    asked = [name for name in CONTENDER if name not in ("run", "spec")]
    columns: dict[str, list[Any]] = {
        name: list(map(attrgetter(attribute_of(name)), records)) for name in (*_TEXT, *asked)
    }
    columns |= {metric.key: metric.column(records) for metric in METRICS}
    columns["environment"] = [" ".join(variables) for variables in columns["environment"]]
    columns["machine"] = [machines.get(machine, machine) for machine in columns["machine"]]
    columns["spec"] = [specs.get(model, "") for model in columns["model"]]
    frame = pd.DataFrame(columns)
    numbers = [*METRIC_KEYS, "train_samples", "until_accuracy"]
    frame[numbers] = frame[numbers].astype("float64")
    return frame.assign(run=run)


def trial_frame(sources: Sequence[Source]) -> pd.DataFrame:
    """The trials of all runs."""
    return pd.concat([_source_frame(source) for source in sources], ignore_index=True)


def _source_frame(source: Source) -> pd.DataFrame:
    manifest = source.run.manifest
    machines = {manifest.machine.hostname: source.machine, "": source.machine}
    specs = {model: fingerprint(source.run, model) for model in manifest.models}
    return record_frame(source.run.trials, source.name, machines, specs)


def fingerprint(run: Run, model: str) -> str:
    """A name for the model's spec, the optimizer and the data set together."""
    manifest = run.manifest
    stated = (manifest.models[model].layer, manifest.optimizer, manifest.dataset)
    return sha256(msgspec.json.encode(stated)).hexdigest()[:6]


def grouped(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials with the numbers of their `ranking`, `contender` and `asked`, and a `label`.

    The label is the backend and mode, with the version and the run where a ranking holds the same
    in several.
    """
    keys = {"ranking": RANKING, "contender": CONTENDER, "asked": ASKED}
    numbers = {name: trials.groupby(list(key), dropna=False).ngroup() for name, key in keys.items()}
    return _labelled(trials.assign(**numbers))


def _labelled(trials: pd.DataFrame) -> pd.DataFrame:
    alike = trials.groupby(["ranking", "backend", "mode"])
    several = {
        name: alike[name].transform("nunique") > 1
        for name in ("framework_version", "run", "environment")
    }
    version = " " + trials["framework_version"].astype(object).fillna("of unknown version")
    run = " (" + trials["run"].astype(object) + ")"
    label = trials["backend"].astype(object) + " " + trials["mode"].astype(object)
    own = " " + trials["environment"].astype(object)
    label += own.where(several["environment"] & (trials["environment"] != ""), "")
    label += version.where(several["framework_version"], "") + run.where(several["run"], "")
    return trials.assign(label=label.map({text: plain(text) for text in label.unique()}))


def contender_frame(trials: pd.DataFrame) -> pd.DataFrame:
    """A row a contender: median, min and max of each metric over the trials that ended well.

    Columns are the fields of `CONTENDER`, `repeats` (trials that ended well), `attempted` (all
    trials asked for alike) and, for each metric, `KEY median`, `KEY min`, `KEY max`.

    Args:
        trials: as `grouped` returns them.
    """
    ended_well = trials[trials["outcome"] == "ok"]
    groups = ended_well.groupby("contender")
    spreads = groups[METRIC_KEYS].agg(["median", "min", "max"])
    spreads.columns = [f"{key} {statistic}" for key, statistic in spreads.columns]
    told = groups[["ranking", "asked", "label", *CONTENDER]].first()
    frame = told.join(spreads).assign(repeats=groups.size())
    frame["attempted"] = frame["asked"].map(trials.groupby("asked").size())
    return frame
