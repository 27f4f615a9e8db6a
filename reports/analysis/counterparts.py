"""Contenders of one run by what they were asked, and those that differ from one in a few values."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from statistics import median
from typing import Any

from bench.records.trial import TrialRecord, attribute_of
from bench.statistics.families import Sample
from reports.analysis.runs import Source
from reports.display import count, plain

# In the order in which tables have them.
FIELDS = (
    *("model", "backend", "mode", "device", "arm", "precision", "input"),
    *("threads", "hosts", "world_size", "batch_size", "hardware_digest"),
)

Asked = tuple[Any, ...]  # the value of each field
_ASKED = attrgetter(*map(attribute_of, FIELDS))


@dataclass(frozen=True)
class Measured:
    """A contender's trials that ended well and may be compared.

    Attributes:
        asked: what all of them were asked.
        sample: the throughput of each, by its repeat.
        records: of the trials.
    """

    asked: Asked
    sample: Sample
    records: tuple[TrialRecord, ...]

    @property
    def throughput(self) -> float:
        """The median, images/s."""
        return median(self.sample.blocks.values())

    @property
    def label(self) -> str:
        """Backend and mode."""
        return plain(f"{self['backend']} {self['mode']}")

    @property
    def setting(self) -> str:
        """What else it was asked, in words; what is usual goes without saying."""
        words = [f"{self['model']} on {self['device']}", f"batch size {self['batch_size']:,}"]
        words.append(count(self["threads"], "thread"))
        if self["world_size"] > 1:
            words.append(f"world size {self['world_size']}")
        if self["hosts"] > 1:
            words.append(f"on {self['hosts']} machines")
        usual = {"controlled", "float32", "resident"}
        words += [self[name] for name in ("arm", "precision", "input") if self[name] not in usual]
        return plain(", ".join(words))

    def __getitem__(self, field: str) -> Any:
        """What it was asked in this field."""
        return self.asked[FIELDS.index(field)]

    def but(self, values: Mapping[str, Any]) -> Asked:
        """What it was asked, with these values in the place of its own."""
        return tuple(values.get(name, self[name]) for name in FIELDS)


def measured_by_asked(source: Source) -> dict[Asked, Measured]:
    """Every contender of the run that has a throughput, in order."""
    found: defaultdict[Asked, list[TrialRecord]] = defaultdict(list)
    for record in source.run.trials:
        if record.outcome == "ok" and record.equivalence != "failed":
            found[_ASKED(record)].append(record)
    made = {}
    for asked, records in sorted(found.items(), key=lambda item: item[0]):
        blocks = {
            record.repeat: record.throughput_images_per_second
            for record in records
            if record.throughput_images_per_second
        }
        if blocks:
            made[asked] = Measured(asked, Sample(source.name, blocks), tuple(records))
    return made
