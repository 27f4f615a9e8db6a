"""Runs as one DataFrame with one row per trial. Every ranking, table and export starts here.

A ranking contains what may be compared: equal work with equal settings on the same machine. A
contender is what a ranking compares: a backend in a mode and version, in one run.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec import inspect

from bench.records.rates import compared_throughput
from bench.records.reader import Run
from bench.records.trial import TrialRecord
from bench.spec.job import Job
from reports.analysis.runs import Source
from reports.display import plain
from reports.metrics import METRICS

COORDINATES = Job.__struct_fields__


def coordinates_left_by(reduce: Callable[[Job], Job]) -> tuple[str, ...]:
    """Return the coordinates of a job that a method of it, like `certified`, does not blank."""
    values: dict[str, Any] = {name: f"any {name}" for name in COORDINATES}
    reduced = reduce(Job(**values))
    return tuple(name for name in COORDINATES if getattr(reduced, name) == values[name])


_SHARED = coordinates_left_by(Job.compared_with)
# What distinguishes the contenders of one ranking, in addition to their versions and runs.
CONTENDER_COORDINATES = tuple(name for name in COORDINATES if name not in _SHARED)

# The order in which titles and filters name what a ranking has in common; other coordinates follow.
_ORDER = (
    *("model", "device", "dataset", "batch_size", "precision", "threads", "world_size", "hosts"),
    *("epochs", "until_accuracy", "train_samples", "arm", "input"),
)
# `spec` distinguishes models, optimizers and data sets with the same name.
RANKING = (*_ORDER, *(name for name in _SHARED if name not in _ORDER), "machine", "spec")
REQUESTED = (*RANKING, "run", *CONTENDER_COORDINATES)
# A version is known only after a worker has imported the framework.
CONTENDER = (*REQUESTED, "framework_version", "equivalence")

# The worker's output is long, and the job's number of threads may be left to the run.
_LEFT_OUT = (("log",), ("job", "threads"))
_SCALARS = {
    inspect.StrType: "text",
    inspect.LiteralType: "text",
    inspect.BoolType: "bool",
    inspect.IntType: "int",
    inspect.FloatType: "float",
}
_NULLABLE = {"bool": "boolean", "int": "Int64"}


_LETTERS = str.maketrans("0123456789", "ghijklmnop")


class Field(NamedTuple):
    """A column that is read from a record.

    Attributes:
        name: name of the column; fields of a part start with the part's name, except a job's.
        path: attributes that lead to the value.
        kind: `text`, `bool`, `int` or `float`; each may be missing.
        is_list: whether the record has several texts, which the column joins by `; `.
    """

    name: str
    path: tuple[str, ...]
    kind: str
    is_list: bool = False

    def column(self, parts: Sequence[Any]) -> Any:
        """Return the values as `pandas.DataFrame` takes a column.

        Args:
            parts: what contains the field in each record; None where it is missing.
        """
        values = _attributes(parts, self.path[-1])
        if self.is_list:
            values = [value if value is None else "; ".join(value) for value in values]
        if self.kind == "float":
            return np.array(values, float)
        if self.kind == "text":
            return pd.Series(values, dtype=object)
        try:
            return self._exact(values)
        except OverflowError:  # no quantity is so large, but files of other people may say so
            return self._exact(
                [None if value and abs(value) >= 2**63 else value for value in values]
            )

    def _exact(self, values: Sequence[Any]) -> Any:
        """Return an array of integers or truth values, of a nullable type only where needed."""
        if None in values:
            return pd.array(values, dtype=_NULLABLE[self.kind])
        return np.array(values, bool if self.kind == "bool" else np.int64)


def _attributes(parts: Sequence[Any], name: str) -> list[Any]:
    if None not in parts:
        return list(map(attrgetter(name), parts))
    return [None if part is None else getattr(part, name) for part in parts]


@cache
def trial_fields() -> tuple[Field, ...]:
    """Return the columns that are read from records, in their order.

    Every scalar has one, and every list of texts; other lists and tables stay in trials.jsonl.
    """
    return tuple(_fields(TrialRecord, ()))


def _fields(kind: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[Field]:
    described = inspect.type_info(kind)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"received {kind}, expected a struct")
    for field in described.fields:
        own = (*path, field.name)
        if own in _LEFT_OUT:
            continue
        # The fields of a job have no prefix: `backend`, not `job_backend`.
        name = "_".join(own[1:] if own[0] == "job" else own)
        for part in field.type.types if isinstance(field.type, inspect.UnionType) else [field.type]:
            if isinstance(part, inspect.StructType):
                yield from _fields(part.cls, own)
            elif type(part) in _SCALARS:
                yield Field(name, own, _SCALARS[type(part)])
            elif _is_texts(part):
                yield Field(name, own, "text", is_list=True)


def _is_texts(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.ListType | inspect.VarTupleType) and isinstance(
        kind.item_type, inspect.StrType
    )


def trial_frame(sources: Sequence[Source]) -> pd.DataFrame:
    """Return the trials of all runs, one row each, with the columns of results.csv.

    The columns are `run`, then those of `trial_fields`, where `machine` is the machine's name in
    this report and the throughput of trials in rounds is that of `compared_throughput`, then
    `spec`, a name for what the record does not contain: the model's layers, the
    optimizer and the data set.
    """
    frame = record_frame([record for source in sources for record in source.run.trials])
    frame["throughput_images_per_second"] = _throughput(sources)
    sizes = [len(source.run.trials) for source in sources]
    names = [source.name for source, size in zip(sources, sizes, strict=True) for _ in range(size)]
    machines, specs = frame["machine"].tolist(), frame["model"].tolist()
    start = 0
    for source, size in zip(sources, sizes, strict=True):
        own = slice(start, start + size)
        manifest = source.run.manifest
        known = {manifest.machine.hostname: source.machine, "": source.machine}
        machines[own] = [known.get(name, name) for name in machines[own]]
        fingerprints = {model: _fingerprint(source.run, model) for model in manifest.models}
        specs[own] = [fingerprints.get(model, "") for model in specs[own]]
        start += size
    texts = {"run": names, "machine": machines, "spec": specs}
    return frame.assign(**{name: pd.Series(values, dtype=object) for name, values in texts.items()})


def _throughput(sources: Sequence[Source]) -> npt.NDArray[np.float64]:
    """Return the throughput of each trial; in rounds, without what affected all contenders."""
    values: list[float | None] = []
    for source in sources:
        compared = compared_throughput(source.run.trials)
        values += [
            compared.get(record.trial, record.throughput_images_per_second)
            for record in source.run.trials
        ]
    return np.array(values, float)


def record_frame(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """Return the trials of one run whose name, machine and models do not matter."""
    parts: dict[tuple[str, ...], Sequence[Any]] = {(): records}
    for path in {field.path[:-1]: None for field in trial_fields() if len(field.path) > 1}:
        parts[path] = _attributes(parts[path[:-1]], path[-1])
    columns = {field.name: field.column(parts[field.path[:-1]]) for field in trial_fields()}
    empty = pd.Series([""] * len(records), dtype=object)
    return pd.DataFrame({"run": empty, **columns, "spec": empty})


def _fingerprint(run: Run, model: str) -> str:
    """Return a name for the model's layers, the optimizer and the data set together."""
    manifest = run.manifest
    spec = (manifest.models[model].layer, manifest.optimizer, manifest.dataset)
    # Letters only: readers of CSV files take 5e4543 for a number.
    return sha256(msgspec.json.encode(spec)).hexdigest()[:6].translate(_LETTERS)


def metric_frame(trials: pd.DataFrame) -> pd.DataFrame:
    """Return every metric of the trials in base units; NaN where it is unknown."""
    return pd.DataFrame(
        {metric.key: metric.of(trials).to_numpy(float, na_value=np.nan) for metric in METRICS},
        index=trials.index,
    )


def grouped(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with the columns `ranking`, `contender`, `requested` and `label`.

    The first three number the groups of trials that are equal in the coordinates of the same name.
    The label is what `contender_label` returns, with the version and the run where a ranking
    contains the same in several.
    """
    # Each group is a part of one of the previous kind, which is faster than grouping by all again.
    numbered = trials.assign(ranking=_numbers(trials, RANKING))
    numbered["requested"] = _numbers(numbered, ("ranking", "run", *CONTENDER_COORDINATES))
    keys = ("requested", "framework_version", "equivalence")
    return _labelled(numbered.assign(contender=_numbers(numbered, keys)))


def _numbers(trials: pd.DataFrame, keys: Sequence[str]) -> "pd.Series[int]":
    return trials.groupby(list(keys), dropna=False).ngroup()


def _labelled(trials: pd.DataFrame) -> pd.DataFrame:
    alike = trials.groupby(["ranking", *CONTENDER_COORDINATES])
    several = {name: alike[name].transform("nunique") > 1 for name in ("framework_version", "run")}
    version = " " + trials["framework_version"].astype(object).fillna("of unknown version")
    run = " (" + trials["run"].astype(object) + ")"
    label = _joined(trials)
    label += version.where(several["framework_version"], "") + run.where(several["run"], "")
    return trials.assign(label=label.map({text: plain(text) for text in label.unique()}))


def _joined(trials: pd.DataFrame) -> "pd.Series[str]":
    label = trials[CONTENDER_COORDINATES[0]].astype(object)
    for name in CONTENDER_COORDINATES[1:]:
        label = label + " " + trials[name].astype(object)
    return label


def contender_label(row: Any) -> str:
    """Return the words that name a contender: backend, mode and what else tells it from others."""
    return plain(" ".join(row[name] for name in CONTENDER_COORDINATES))


def contender_frame(trials: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one row per contender with median, minimum and maximum of each metric.

    The statistics are over the trials that ended well. Columns are the fields of `CONTENDER`,
    `ranking`, `label`, `repeats` (trials that ended well), `attempted` (all trials requested) and,
    for each metric, `KEY median`, `KEY min` and `KEY max`.

    Args:
        trials: as `grouped` returns them.
        metrics: of the same trials, as `metric_frame` returns them.
    """
    ended_well = trials[trials["outcome"] == "ok"]
    groups = ended_well.groupby("contender")
    of_contender = metrics.loc[ended_well.index].groupby(ended_well["contender"])
    spreads = of_contender.agg(["median", "min", "max"])
    spreads.columns = [f"{key} {statistic}" for key, statistic in spreads.columns]
    common = groups[["ranking", "requested", "label", *CONTENDER]].first()
    frame = common.join(spreads).assign(repeats=groups.size())
    frame["attempted"] = frame["requested"].map(trials.groupby("requested").size())
    return frame
