"""Contenders of one run, and their counterparts that differ in a few coordinates only."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from bench.statistics.families import Sample
from reports.analysis.trials import COORDINATES, contender_label
from reports.display import count, plain

# Machines are equal if their hardware is: a job on two hosts is compared with one of them.
_KEY = (*COORDINATES, "hardware_digest")
# The order of rows in tables; other coordinates follow.
_ORDER = (
    *("model", "backend", "mode", "device", "arm", "precision", "input"),
    *("threads", "hosts", "world_size", "batch_size"),
)

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Measured:
    """A job with a throughput, from the trials that ended well and may be compared.

    Attributes:
        coordinates: the job's coordinates and the digest of the hardware, by column.
        sample: throughput of each trial, by its repeat.
        communication: median communication time per step, seconds; NaN where it is unknown.
    """

    coordinates: Mapping[str, Any]
    sample: Sample
    communication: float

    @property
    def throughput(self) -> float:
        """Median throughput, images/s."""
        return median(self.sample.blocks.values())

    @property
    def label(self) -> str:
        """The contender's name."""
        return contender_label(self.coordinates)

    @property
    def setting(self) -> str:
        """The other coordinates in words, without those that have their usual value."""
        words = [f"{self['model']} on {self['device']}", f"batch size {self['batch_size']:,}"]
        words.append(count(self["threads"], "thread"))
        if self["world_size"] > 1:
            words.append(f"world size {self['world_size']}")
        if self["hosts"] > 1:
            words.append(f"on {self['hosts']} machines")
        usual = {"controlled", "float32", "resident"}
        words += [self[name] for name in ("arm", "precision", "input") if self[name] not in usual]
        return plain(", ".join(words))

    def __getitem__(self, name: str) -> Any:
        """Return a coordinate."""
        return self.coordinates[name]

    def but(self, values: Mapping[str, Any]) -> Key:
        """Return the key of the job that differs in these values only."""
        return tuple(values.get(name, self[name]) for name in _KEY)


def measured_jobs(trials: pd.DataFrame) -> dict[Key, Measured]:
    """Return each job of one run that has a throughput, in the order of tables."""
    usable = trials[
        (trials["outcome"] == "ok")
        & (trials["equivalence"] != "failed")
        & (trials["throughput_images_per_second"] > 0)
    ]
    order = [*_ORDER, *(name for name in _KEY if name not in _ORDER)]
    measured = [_measured(own) for _, own in usable.groupby(order)]
    return {each.but({}): each for each in measured}


def _measured(trials: pd.DataFrame) -> Measured:
    values = trials["throughput_images_per_second"]
    return Measured(
        coordinates=trials.iloc[0][list(_KEY)].to_dict(),
        sample=Sample(trials["run"].iloc[0], dict(zip(trials["repeat"], values, strict=True))),
        communication=trials["communication_seconds"].median(),
    )
